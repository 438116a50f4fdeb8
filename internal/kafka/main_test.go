package kafka_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

func TestMain(m *testing.M) {
	fmt.Fprintln(os.Stderr, "kafka suite on:", kafkatest.Which())
	goleak.VerifyTestMain(m)
}
