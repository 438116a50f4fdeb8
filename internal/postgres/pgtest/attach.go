package pgtest

import (
	"context"

	"github.com/platforma-cloud/orders/internal/postgres"
)

// Attach opens a login's pool on a database that another process of the same test made. url is what DB.URL
// returned for the login. It is for processes that a test starts in order to kill them.
func Attach(ctx context.Context, url, login string) (*postgres.DB, error) {
	clock := NewClock()
	return postgres.Open(ctx, url, login, postgres.Options{Clock: clock, NewID: clock.NewID})
}
