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
	// noticeQuiet is the least time between two notices of one cause to a tenant's operators.
	noticeQuiet = time.Hour
	// noticeClaim is for how long a worker claims a notice, which is longer than its mails take. If the worker dies,
	// another one sends the notice after that, with the same message ids.
	noticeClaim = 5 * time.Minute
)

// incident adds an incident to the aggregate.
func (agg *Aggregate) incident(c notice.Cause, subject [16]byte, at time.Time) {
	agg.Added.Incidents = append(agg.Added.Incidents, Incident{Cause: c, Subject: subject, At: at})
}

// NoteOverdue writes incidents for orders that have waited long for their payment, and returns how many were new. It
// may run twice or in two workers at once.
func (a *App) NoteOverdue(ctx context.Context) (int, error) { return a.Notices.NoteOverdue(ctx) }

// NotifyOperators mails the due notices to each tenant's operators or admins and returns how many it sent. There is at
// most one notice per cause and hour, which says how often it happened. Notices are sent at least once: one is finished
// when the mail server accepted it for at least one person, and is tried again until then.
func (a *App) NotifyOperators(ctx context.Context) (sent int, err error) {
	due, err := a.Notices.DueNotices(ctx, a.wait(noticeQuiet))
	if err != nil {
		return 0, err
	}
	for _, r := range due {
		ok, e := a.sendOperatorNotice(ctx, r)
		if ok {
			sent++
		}
		err = errors.Join(err, e)
	}
	return sent, err
}

func (a *App) sendOperatorNotice(ctx context.Context, r NoticeRef) (bool, error) {
	n, ok, err := a.Notices.ClaimNotice(ctx, r, a.wait(noticeQuiet), a.NewID(), a.Clock.Now().Add(noticeClaim))
	if err != nil || !ok {
		return false, err
	}
	content := notice.Operators{
		Cause: r.Cause, Count: n.Count, Since: n.Since, Orders: n.Orders, Webhooks: failingWebhooks(n.Failing),
		More: n.AllOrders - len(n.Orders) + n.AllHooks - len(n.Failing),
	}
	if a.PortalURL != "" {
		content.Link = a.PortalURL + deskPages[r.Cause]
		if n.AllHooks == 1 {
			content.Link += "/" + n.Failing[0].ID.String()
		}
	}
	mail, err := notice.ForOperators(n.Settings.reader(), content)
	if err != nil {
		return false, fmt.Errorf("write the notice %s of tenant %s: %w", r.Cause, r.Tenant, err)
	}
	if reached := a.mailOperators(ctx, n, mail); reached == 0 {
		a.Log.ErrorContext(ctx, "a notice reached no operator; it is tried again", "tenant", r.Tenant.String(), "cause",
			string(r.Cause), "operators", len(n.Operators))
		return false, nil
	}
	return true, a.Notices.FinishNotice(ctx, n)
}

// deskPages gives the page of the portal on which a cause is worked on.
var deskPages = map[notice.Cause]string{
	notice.ItemStuck: "/desk/dead-letters", notice.RefundFailed: "/desk/dead-letters",
	notice.NewDeadLetter: "/desk/dead-letters", notice.PaymentOverdue: "/desk/payments", notice.ReceiptsDiffer: "/desk",
	notice.WebhookFailing: "/settings/webhooks",
}

// failingWebhooks returns the webhooks of a notice. They are named by host, because the rest of a URL may hold a
// secret.
func failingWebhooks(endpoints []FailingWebhookEndpoint) []notice.Webhook {
	var sent []notice.Webhook
	for _, e := range endpoints {
		w := notice.Webhook{ID: e.ID.String(), Since: e.Since, Status: e.LastStatus, NoAnswer: noAnswerOf(e.LastResult)}
		if u, err := url.Parse(e.URL); err == nil {
			w.Host = u.Host
		}
		sent = append(sent, w)
	}
	return sent
}

// noAnswerOf returns why a call got no answer.
func noAnswerOf(r CallResult) notice.NoAnswer {
	switch r {
	case CallTimedOut:
		return notice.NotInTime
	case CallNameNotFound:
		return notice.NoName
	case CallBadTLS:
		return notice.NoTrust
	case CallForbiddenAddress:
		return notice.NotAllowed
	default:
		return notice.NoRoute
	}
}

// mailOperators sends the mail once to each address and returns how many were accepted. It does not retry the others,
// because those who were reached would get the mail again.
func (a *App) mailOperators(ctx context.Context, n OperatorNotice, mail notice.Mail) (reached int) {
	seen := map[string]bool{}
	for _, m := range n.Operators {
		if address := strings.ToLower(m.Email); address == "" || seen[address] {
			continue
		} else {
			seen[address] = true
		}
		callCtx, cancel := context.WithTimeout(ctx, singleCallTimeout)
		err := a.Mailer.SendNotice(callCtx, Notice{
			To: m.Email, MessageID: fmt.Sprintf("operators.%s.%s.%d.%s", n.Cause, n.Tenant, n.Number, m.ID), At: a.Clock.Now(),
			Brand: n.Settings.Name, Mail: mail,
		})
		cancel()
		if err != nil {
			a.Log.WarnContext(ctx, "a notice did not reach an operator", "tenant", n.Tenant.String(), "member",
				m.ID.String(), "cause", string(n.Cause), "class", a.Mailer.Class(err).String())
			continue
		}
		reached++
	}
	return reached
}
