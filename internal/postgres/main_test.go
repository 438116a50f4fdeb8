package postgres_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }
