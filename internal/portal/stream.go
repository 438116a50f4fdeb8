package portal

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

const (
	// reauthorise is how often a stream asks again who is listening (D32).
	reauthorise = time.Minute
	// heartbeat keeps proxies from closing a quiet stream.
	heartbeat = 15 * time.Second
	// sendWithin bounds one write: a reader that takes nothing is let go.
	sendWithin = 10 * time.Second
)

// stream sends an order's page in fragments, each only when it changed: the first reading sends all
// of them, so that nothing between paint and connection is missed. It reads the database on every
// wake-up, or at least once per Refresh, and holds no connection in between. It ends with the
// event "end" when nothing can move any more.
func (p *Portal) stream(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	wake, stop := p.subscribe(v, agg.Order.ID)
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	s := &sender{w: w, control: http.NewResponseController(w), now: p.cfg.Now, sent: map[string]string{}}
	s.raw("retry: 2000\n\n")

	tick := time.NewTicker(p.cfg.Refresh) //nolint:forbidigo // a heartbeat on the wire: real time
	defer tick.Stop()
	var events []record
	live, drawn := true, -1 // the version that was drawn last
	checked, quiet := time.Duration(0), time.Duration(0)
	for {
		// A version stands for everything an order's transactions change; what only grows old, such as
		// "1 minute ago", is drawn anew with the heartbeat.
		if agg.Order.Version != drawn || quiet >= heartbeat {
			v.now, drawn, quiet = p.cfg.Now(), agg.Order.Version, 0
			view, err := p.orderView(r, v, agg, events)
			if err != nil {
				return p.ended(r, err)
			}
			events, live = view.Events, view.Live
			if !s.page(r.Context(), view) {
				s.raw(": still here\n\n")
			}
		}
		if !live {
			s.raw("event: end\ndata: end\n\n")
		}
		if s.err != nil || !live {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-wake:
		case <-tick.C:
			checked, quiet = checked+p.cfg.Refresh, quiet+p.cfg.Refresh
		}
		if checked >= reauthorise {
			checked = 0
			if again, err := p.visitor(r); err != nil || again == nil {
				return nil
			}
		}
		if agg, err = p.useCases.Order(r.Context(), v.Caller, agg.Order.ID); err != nil {
			return p.ended(r, err)
		}
	}
}

// ended closes a stream whose headers are sent: there is no page left to say why.
func (p *Portal) ended(r *http.Request, err error) error {
	if r.Context().Err() == nil {
		p.cfg.Log.WarnContext(r.Context(), "order stream ended", "path", r.URL.Path, "error", err)
	}
	return nil
}

func (p *Portal) subscribe(v *session, o order.ID) (<-chan struct{}, func()) {
	if p.cfg.Wakes == nil {
		return nil, func() {}
	}
	return p.cfg.Wakes.Subscribe(v.Tenant, o)
}

// sender writes server-sent events and remembers what each fragment looked like. It is used by one
// goroutine; after the first failed write it does nothing.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
	sent    map[string]string
	states  map[order.ItemID]order.ItemState
	state   order.State
	err     error
}

// page sends the fragments that changed and reports whether there was one.
func (s *sender) page(ctx context.Context, view orderView) bool {
	changed := s.fragment(ctx, "status", statusPart(view))
	for _, it := range view.Items {
		changed = s.fragment(ctx, "item-"+it.Item.ID.String(), itemPart(view, it)) || changed
	}
	changed = s.fragment(ctx, "money", moneyPart(view.Money)) || changed
	changed = s.fragment(ctx, "timeline", timelinePart(view)) || changed
	if news := s.news(view.D); news != "" {
		s.event("announce", news)
		changed = true
	}
	return changed
}

func (s *sender) fragment(ctx context.Context, name string, part templ.Component) bool {
	var b bytes.Buffer
	if err := part.Render(ctx, &b); err != nil {
		s.err = fmt.Errorf("render %s: %w", name, err)
		return false
	}
	if s.sent[name] == b.String() {
		return false
	}
	s.sent[name] = b.String()
	s.event(name, b.String())
	return true
}

// news is what a screen reader says: each new state of the order and of an item once, and nothing at
// the first reading, for that is the page itself.
func (s *sender) news(agg *app.Aggregate) string {
	first := s.states == nil
	if first {
		s.states = map[order.ItemID]order.ItemState{}
	}
	news := ""
	if !first && agg.Order.State != s.state {
		news = "Order: " + stateText(agg.Order.State) + ". "
	}
	s.state = agg.Order.State
	for _, it := range agg.Order.Items {
		if !first && s.states[it.ID] != it.State {
			news += templ.EscapeString(nameOf(it)) + ": " + itemTexts[it.State] + ". "
		}
		s.states[it.ID] = it.State
	}
	return news
}

func (s *sender) event(name, data string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range strings.Lines(strings.ReplaceAll(data, "\r", " ")) { // a bare CR would end the line too
		fmt.Fprintf(&b, "data: %s\n", strings.TrimRight(line, "\n"))
	}
	b.WriteByte('\n')
	s.raw(b.String())
}

func (s *sender) raw(text string) {
	if s.err != nil {
		return
	}
	// Where a writer takes no deadline, the server's own bounds it.
	_ = s.control.SetWriteDeadline(s.now().Add(sendWithin))
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.err = err
		return
	}
	s.err = s.control.Flush()
}
