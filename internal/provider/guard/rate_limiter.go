package guard

import (
	"context"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// tokensAtATime is how many tokens a process takes from the shared budget at once.
const tokensAtATime = 20

// limiter keeps the calls to each account within the provider's rate.
type limiter struct {
	store    Store
	clock    Clock
	accounts perAccount[budget]
}

// budget holds the tokens that this process has taken from an account's budget and not used.
type budget struct {
	mu     sync.Mutex
	tokens int // guarded by mu
}

// admit takes a token. The account's lock is held while the store answers, because other callers would only ask
// the same.
func (l *limiter) admit(ctx context.Context, a Account, r provider.Rate) error {
	if r.PerSecond <= 0 {
		return nil
	}
	b := l.accounts.of(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens == 0 {
		now := l.clock.Now()
		granted, next, err := l.store.TakeTokens(ctx, a, r, tokensAtATime, now)
		if err != nil {
			return refusal(fault.RateLimited, time.Second, "guard-unavailable", "the account's budget cannot be read")
		}
		if granted == 0 {
			return refusal(fault.RateLimited, next.Sub(now), "budget", "the account's budget of calls is used up for now")
		}
		b.tokens = granted
	}
	b.tokens--
	return nil
}
