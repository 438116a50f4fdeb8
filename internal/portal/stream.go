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
	// reauthorise is how often a stream checks that its reader is still signed in (D32).
	reauthorise = time.Minute
	// heartbeat is how often a quiet stream sends something, so that proxies do not close it.
	heartbeat = 15 * time.Second
	// sendWithin is the most time for one write. A slower reader is disconnected.
	sendWithin = 10 * time.Second
)

// stream sends the fragments of an order's page, each only when it has changed. It sends all of them first, so that
// no change between the page and the connection is missed. It reads the order on every wake-up and at least once
// per Refresh, and holds no database connection in between. It ends with the event "end" when the order cannot
// change without a person any more.
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

	tick := time.NewTicker(p.cfg.Refresh) //nolint:forbidigo // heartbeats need real time
	defer tick.Stop()
	var events []record
	live, rendered := true, -1 // the version that was rendered last
	checked, quiet := time.Duration(0), time.Duration(0)
	for {
		// Every change of an order raises its version. What changes with time alone, such as "1 minute ago", is
		// rendered again with the heartbeat.
		if agg.Order.Version != rendered || quiet >= heartbeat {
			v.now, rendered, quiet = p.cfg.Now(), agg.Order.Version, 0
			view, err := p.orderView(r, v, agg, events)
			if err != nil {
				return p.abort(r, err)
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
			if current, err := p.visitor(r); err != nil || current == nil {
				return nil
			}
		}
		if agg, err = p.useCases.Order(r.Context(), v.Caller, agg.Order.ID); err != nil {
			return p.abort(r, err)
		}
	}
}

// abort ends a stream after an error. It only logs the error, because the headers are sent and an error page is
// no longer possible.
func (p *Portal) abort(r *http.Request, err error) error {
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

// sender writes server-sent events and remembers what it sent of each fragment. Only one goroutine may use it.
// After the first failed write it does nothing.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
	sent    map[string]string // fragments by name
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
	if text := s.announcement(view.D); text != "" {
		s.event("announce", text)
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

// announcement returns what a screen reader says: each new state of the order or of an item. The first time it
// returns nothing, because the page itself has just been read.
func (s *sender) announcement(agg *app.Aggregate) string {
	first := s.states == nil
	if first {
		s.states = map[order.ItemID]order.ItemState{}
	}
	text := ""
	if !first && agg.Order.State != s.state {
		text = "Order: " + stateText(agg.Order.State) + ". "
	}
	s.state = agg.Order.State
	for _, it := range agg.Order.Items {
		if !first && s.states[it.ID] != it.State {
			text += templ.EscapeString(nameOf(it)) + ": " + itemTexts[it.State] + ". "
		}
		s.states[it.ID] = it.State
	}
	return text
}

func (s *sender) event(name, data string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range strings.Lines(strings.ReplaceAll(data, "\r", " ")) { // a lone CR also ends a line
		fmt.Fprintf(&b, "data: %s\n", strings.TrimRight(line, "\n"))
	}
	b.WriteByte('\n')
	s.raw(b.String())
}

func (s *sender) raw(text string) {
	if s.err != nil {
		return
	}
	// A writer that supports no deadline is bounded by the server's own.
	_ = s.control.SetWriteDeadline(s.now().Add(sendWithin))
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.err = err
		return
	}
	s.err = s.control.Flush()
}
