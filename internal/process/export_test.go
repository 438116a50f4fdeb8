package process

import "github.com/platforma-cloud/orders/internal/app"

// AddUp sums how consumers stand, of this process and of the others.
func AddUp(all, others []app.ConsumerStatus) []app.ConsumerStatus { return addUp(all, others) }
