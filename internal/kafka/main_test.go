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
	if dir := os.Getenv(brokerVariable); dir != "" {
		runBroker(dir) // a broker process, likewise
		return
	}
	if spec := os.Getenv(consumerVariable); spec != "" {
		runConsumer(spec) // a consumer process, likewise
		return
	}
	fmt.Fprintln(os.Stderr, "kafka suite on:", kafkatest.Which())
	goleak.VerifyTestMain(pgtest.M{M: m})
}
