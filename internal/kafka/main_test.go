package kafka_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		runChild(spec) // a relay process that a test kills
		return
	}
	fmt.Fprintln(os.Stderr, "kafka suite on:", kafkatest.Which())
	goleak.VerifyTestMain(pgtest.M{M: m})
}
