package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/notice"
)

const (
	// noticeQuiet is how often operators are told of one cause at most.
	noticeQuiet = time.Hour
	// noticeHeld is for how long a worker has a notice to itself: longer than its mails take. A worker that
	// dies is followed by another after that, with the same message ids.
	noticeHeld = 5 * time.Minute
)

// incident notes something for the operators, with whatever else the transaction writes.
func (agg *Aggregate) incident(c notice.Cause, subject [16]byte, at time.Time) {
	agg.Added.Incidents = append(agg.Added.Incidents, Incident{Cause: c, Subject: subject, At: at})
}

// NoteOverdue notes orders that have waited long for their payment. Twice, or by two workers, it does no
// harm.
func (a *App) NoteOverdue(ctx context.Context) (int, error) { return a.Notices.NoteOverdue(ctx) }

// TellOperators mails what needs them to each tenant's operators, or admins: of each cause once an hour at
// most, and then how often it happened. At least once: a notice counts as told when one of them was reached, and
// until then it is tried again.
func (a *App) TellOperators(ctx context.Context) (told int, err error) {
	due, err := a.Notices.DueNotices(ctx, a.wait(noticeQuiet))
	if err != nil {
		return 0, err
	}
	for _, r := range due {
		ok, e := a.tell(ctx, r)
		if ok {
			told++
		}
		err = errors.Join(err, e)
	}
	return told, err
}

func (a *App) tell(ctx context.Context, r NoticeRef) (bool, error) {
	n, ok, err := a.Notices.ClaimNotice(ctx, r, a.wait(noticeQuiet), a.NewID(), a.Clock.Now().Add(noticeHeld))
	if err != nil || !ok {
		return false, err
	}
	news := notice.Operators{
		Cause: r.Cause, Count: n.Count, Since: n.Since, Orders: n.Orders, Webhooks: failingWebhooks(n.Failing),
		More: n.AllOrders - len(n.Orders) + n.AllHooks - len(n.Failing),
	}
	if a.PortalURL != "" {
		news.Link = a.PortalURL + deskOf[r.Cause]
		if n.AllHooks == 1 {
			news.Link += "/" + n.Failing[0].ID.String()
		}
	}
	mail, err := notice.ForOperators(n.Settings.reader(), news)
	if err != nil {
		return false, fmt.Errorf("write the notice %s of tenant %s: %w", r.Cause, r.Tenant, err)
	}
	if reached := a.mailOperators(ctx, n, mail); reached == 0 {
		a.Log.ErrorContext(ctx, "no operator could be told; it is tried again", "tenant", r.Tenant.String(), "cause",
			string(r.Cause), "operators", len(n.Operators))
		return false, nil
	}
	return true, a.Notices.FinishNotice(ctx, n)
}

// deskOf says where a cause is worked on.
var deskOf = map[notice.Cause]string{
	notice.ItemStuck: "/desk/dead-letters", notice.RefundFailed: "/desk/dead-letters",
	notice.NewDeadLetter: "/desk/dead-letters", notice.PaymentOverdue: "/desk/payments", notice.BooksDiffer: "/desk",
	notice.WebhookFailing: "/settings/webhooks",
}

// failingWebhooks are the webhooks of a notice as it names them: by the host, because the rest of an address
// may hold what only its owner is to know.
func failingWebhooks(all []FailingWebhookEndpoint) []notice.Webhook {
	var told []notice.Webhook
	for _, e := range all {
		w := notice.Webhook{ID: e.ID.String(), Since: e.Since, Status: e.LastStatus, Silent: silence(e.LastResult)}
		if u, err := url.Parse(e.URL); err == nil {
			w.Host = u.Host
		}
		told = append(told, w)
	}
	return told
}

// silence words a call that got no answer.
func silence(r PostResult) notice.NoAnswer {
	switch r {
	case PostTimeout:
		return notice.NotInTime
	case PostNoName:
		return notice.NoName
	case PostBadTLS:
		return notice.NoTrust
	case PostNotOpen:
		return notice.NotAllowed
	default:
		return notice.NoRoute
	}
}

// mailOperators mails each address once and tells how many took it. Who is not reached keeps no other from
// it, and is not waited for: the others would be told again and again.
func (a *App) mailOperators(ctx context.Context, n OperatorNotice, mail notice.Mail) (reached int) {
	seen := map[string]bool{}
	for _, m := range n.Operators {
		if address := strings.ToLower(m.Email); address == "" || seen[address] {
			continue
		} else {
			seen[address] = true
		}
		callCtx, cancel := context.WithTimeout(ctx, callTime)
		err := a.Mailer.SendNotice(callCtx, Notice{
			To: m.Email, MessageID: fmt.Sprintf("operators.%s.%s.%d.%s", n.Cause, n.Tenant, n.Number, m.ID), At: a.Clock.Now(),
			Brand: n.Settings.Name, Mail: mail,
		})
		cancel()
		if err != nil {
			a.Log.WarnContext(ctx, "an operator could not be told", "tenant", n.Tenant.String(), "member",
				m.ID.String(), "cause", string(n.Cause), "class", a.Mailer.Class(err).String())
			continue
		}
		reached++
	}
	return reached
}
