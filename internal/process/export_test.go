package process

import "github.com/platforma-cloud/orders/internal/app"

// SumStatus is sumStatus, for the tests.
func SumStatus(local, others []app.ConsumerStatus) []app.ConsumerStatus {
	return sumStatus(local, others)
}
