package pgtest

import (
	"context"

	"github.com/platforma-cloud/orders/internal/postgres"
)

// Attach opens a pool of a login on a database that another process of the same test made: url is
// DB.URL's of that login. It is for processes that a test starts in order to kill them.
func Attach(ctx context.Context, url, login string) (*postgres.DB, error) {
	clock := NewClock()
	return postgres.Open(ctx, url, login, postgres.Options{Clock: clock, NewID: clock.NewID})
}
