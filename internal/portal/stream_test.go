package portal_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/portal"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
)

// listener reads server-sent events one by one.
type listener struct {
	t      testing.TB
	events chan [2]string
}

func listen(t testing.TB, p *person, path string) *listener {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Fatalf("the stream is %q (status %d)", got, resp.StatusCode)
	}
	l := &listener{t, make(chan [2]string)}
	go func() {
		defer close(l.events)
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		var name, data string
		for lines.Scan() {
			line := lines.Text()
			switch {
			case strings.HasPrefix(line, "event: "):
				name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data += line[len("data: "):] + "\n"
			case line == "" && name != "":
				select {
				case l.events <- [2]string{name, data}:
				case <-ctx.Done():
					return
				}
				name, data = "", ""
			}
		}
	}()
	return l
}

// next returns the next event; the name is "" when the stream has ended.
func (l *listener) next() (name, data string) {
	l.t.Helper()
	select {
	case e := <-l.events:
		return e[0], e[1]
	case <-time.After(time.Minute):
		l.t.Fatal("the stream sent nothing for a minute")
	}
	return "", ""
}

// until reads up to the next event of a name.
func (l *listener) until(name string) string {
	l.t.Helper()
	for {
		got, data := l.next()
		if got == name {
			return data
		}
		if got == "" {
			l.t.Fatalf("the stream ended before %s", name)
		}
	}
}

func TestWakeUpSendsOnlyTheFragmentsThatChanged(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(time.Now)
	hub := app.NewHub()
	server := serve(t, s, func(c *portal.Config) { c.Wakes, c.Refresh = hub, time.Hour })
	ana := signedIn(t, server, s.Ana)
	orderID := s.Orders["building"]
	l := listen(t, ana, "/orders/"+orderID.String()+"/stream")
	l.until("timeline") // the last fragment of the first reading

	var item order.ItemID
	s.Fake.Change(orderID, func(agg *app.Aggregate) {
		item = agg.Order.Items[1].ID
		agg.Order.Items[1].Progress, agg.Order.Items[1].Detail = 70, "Joining the worker nodes"
	})
	hub.Wake(s.Acme, orderID)
	name, data := l.next()
	if name != "item-"+item.String() || !strings.Contains(data, "Joining the worker nodes") {
		t.Errorf("after a change of one item came %s: %s", name, data)
	}

	s.Fake.Change(orderID, func(agg *app.Aggregate) {
		if err := agg.Order.MoveItem(&agg.Order.Items[1], order.Ready, order.ItemFact{}, ""); err != nil {
			t.Error(err)
		}
	})
	hub.Wake(s.Acme, orderID)
	if got := l.until("announce"); got != "apps-2: Ready, delivery under way. \n" {
		t.Errorf("announced %q", got)
	}
}

func TestStreamOfAClosedOrderEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(time.Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	l := listen(t, ana, "/orders/"+s.Orders["fulfilled"].String()+"/stream")
	l.until("end")
	if name, _ := l.next(); name != "" {
		t.Errorf("after the end came %s", name)
	}
	if page := ana.get("/orders/" + s.Orders["fulfilled"].String()); strings.Contains(page.body, "sse-connect") {
		t.Error("the page of a closed order opens a stream")
	}
}

func TestStreamPollsWithoutAnyWakeUp(t *testing.T) {
	t.Parallel()
	s := portaltest.NewStory(time.Now)
	ana := signedIn(t, serve(t, s, nil), s.Ana)
	orderID := s.Orders["pending"]
	l := listen(t, ana, "/orders/"+orderID.String()+"/stream")
	l.until("timeline")
	cancel := app.Reasoned{Order: orderID, Reason: "x"}
	if _, err := s.Fake.CancelOrder(t.Context(), app.Caller{Actor: s.Ana}, cancel); err != nil {
		t.Fatal(err)
	}
	if got := l.until("status"); !strings.Contains(got, "This order was cancelled.") {
		t.Errorf("after a cancel came %s", got)
	}
	l.until("end")
}
