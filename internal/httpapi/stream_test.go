package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
)

// follower reads a stream over a real connection.
type follower struct {
	*testing.T
	lines chan string // closed when the stream ends
	close context.CancelFunc
}

func (k *kit) follow(srv *httptest.Server, path string, headers ...string) *follower {
	k.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
	if err != nil {
		k.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+rightKey)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		k.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" ||
		resp.Header.Get("Cache-Control") != "no-store" {
		k.Fatalf("stream answered %d %v", resp.StatusCode, resp.Header)
	}
	f := &follower{T: k.T, lines: make(chan string, 100), close: cancel}
	go func() {
		defer close(f.lines)
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	return f
}

// next returns the next line with a prefix, or "" if the stream has ended.
func (f *follower) next(prefix string) string {
	f.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				return ""
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-deadline:
			f.Fatalf("no line %q within a minute", prefix)
		}
	}
}

// withIntervals sets the intervals of streams to an hour, except those that change sets.
func withIntervals(change func(*StreamTimes)) func(*Config) {
	return func(c *Config) {
		c.Now = time.Now // write deadlines are in wall time
		c.Stream = StreamTimes{Poll: time.Hour, Heartbeat: time.Hour, Reauthorise: time.Hour}
		change(&c.Stream)
	}
}

// newStreamServer returns a kit whose API listens.
func newStreamServer(t *testing.T, change func(*StreamTimes)) (*kit, *httptest.Server) {
	t.Helper()
	k := newKit(t, withIntervals(change))
	srv := httptest.NewServer(k.api)
	t.Cleanup(srv.Close)
	return k, srv
}

func TestStreamSendsExistingEventsAndThenNewOnesWhenWoken(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(*StreamTimes) {})
	k.commit(order.EvCreated, order.EvSubmitted)
	f := k.follow(srv, orderPath+"/stream")
	for _, want := range []string{"id: 1", "event: order.created", "id: 2", "event: order.submitted"} {
		if got := f.next(want[:3]); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	k.commit(order.EvPaymentConfirmed)
	k.hub.Wake(tenantA, theOrder)
	if got := f.next("id:"); got != "id: 3" {
		t.Fatalf("after waking: %q", got)
	}
	var got eventView
	if err := json.Unmarshal([]byte(strings.TrimPrefix(f.next("data:"), "data: ")), &got); err != nil {
		t.Fatal(err)
	}
	from, to, reason := "pending_payment", "payment_confirmed", "a transfer came"
	want := eventView{
		ID: "00000000-0000-0000-0000-000000000003", Seq: 3, Type: "order.payment-confirmed", At: now.Add(3 * time.Second),
		Actor: actorView{Kind: "member", ID: ana.String()},
		From:  &from, To: &to, Reason: &reason,
		Data: object(`{"from":"pending_payment","to":"payment_confirmed","reason":"a transfer came"}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestStreamResumesExactlyAfterTheLastEventIDOnAnyNode(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(*StreamTimes) {})
	k.commit(order.EvCreated, order.EvSubmitted, order.EvPaymentConfirmed)
	f := k.follow(srv, orderPath+"/stream")
	f.next("id: 2")
	f.close()
	k.commit(order.EvValidating) // while no client is connected

	other := newKit(t, withIntervals(func(*StreamTimes) {}))
	other.fake = k.fake
	other.api.useCases = k.fake
	node := httptest.NewServer(other.api)
	t.Cleanup(node.Close)
	g := other.follow(node, orderPath+"/stream", "Last-Event-ID", "2")
	var got []string
	for range 2 {
		got = append(got, g.next("id:"))
	}
	if diff := cmp.Diff([]string{"id: 3", "id: 4"}, got); diff != "" {
		t.Errorf("resumed with (-want +got):\n%s", diff)
	}
	if h := other.follow(node, orderPath+"/stream?after=3").next("id:"); h != "id: 4" {
		t.Errorf("after=3 began with %s", h)
	}
}

func TestStreamPollsWithoutAWakeUp(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(s *StreamTimes) { s.Poll = 5 * time.Millisecond })
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	k.commit(order.EvCreated)
	if got := f.next("id:"); got != "id: 1" {
		t.Errorf("got %q", got)
	}
}

func TestStreamSendsHeartbeats(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(s *StreamTimes) { s.Heartbeat = 5 * time.Millisecond })
	f := k.follow(srv, orderPath+"/stream")
	f.next(": ")
	f.next(": ")
}

func TestStreamEndsWhenItsKeyIsRevoked(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(s *StreamTimes) { s.Reauthorise = 5 * time.Millisecond })
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	k.fake.RevokeKey(rightKey)
	if got := f.next("id:"); got != "" {
		t.Errorf("still sends %q", got)
	}
}

func TestStreamEndsWhenTheCallerMayNoLongerReadTheOrder(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(s *StreamTimes) { s.Poll = 5 * time.Millisecond })
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	k.fake.Break("OrderEvents", fault.Absent())
	if got := f.next("id:"); got != "" {
		t.Errorf("still sends %q", got)
	}
}

func TestStreamSurvivesADatabaseOutage(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(s *StreamTimes) { s.Poll = 5 * time.Millisecond })
	k.fake.Break("OrderEvents", fault.New(fault.KindUnavailable, "database-away", "Try again."))
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	k.fake.Mend("OrderEvents")
	k.commit(order.EvCreated)
	if got := f.next("id:"); got != "id: 1" {
		t.Errorf("got %q", got)
	}
}

func TestStreamEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	closing := make(chan struct{})
	k := newKit(t, withIntervals(func(*StreamTimes) {}), func(c *Config) { c.Closing = closing })
	srv := httptest.NewServer(k.api)
	t.Cleanup(srv.Close)
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	close(closing)
	if got := f.next("id:"); got != "" {
		t.Errorf("still sends %q", got)
	}
}

func TestStreamUnsubscribesWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	k, srv := newStreamServer(t, func(*StreamTimes) {})
	f := k.follow(srv, orderPath+"/stream")
	f.next("retry:")
	if k.hub.Followed() != 1 {
		t.Errorf("%d subscriptions, want 1", k.hub.Followed())
	}
	f.close()
	srv.Close() // waits for the handlers
	if k.hub.Followed() != 0 {
		t.Errorf("%d subscriptions are left", k.hub.Followed())
	}
}

func TestStreamWithAMalformedSeqIsRefused(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, last := range []string{"x", "-1", "1.5", "007", "99999999999999"} {
		k.wantProblem(k.do("GET", orderPath+"/stream", "", "Last-Event-ID", last), 400, "last-event-id-malformed")
	}
	k.wantProblem(k.do("GET", orderPath+"/stream?after=x", ""), 422, "validation-failed")
	k.wantProblem(k.do("GET", "/v1/orders/"+absent+"/stream", ""), 404, "not-found")
	if k.hub.Followed() != 0 {
		t.Error("a refused stream has subscribed")
	}
}

func TestEventsArePagedBySeq(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(order.EvCreated, order.EvSubmitted, order.EvPaymentConfirmed)
	type answer struct {
		Data []struct{ Seq int }
		Next *string `json:"next_cursor"`
	}
	var first, second answer
	w := k.do("GET", orderPath+"/events?limit=2", "")
	decode(t, w.Body.Bytes(), &first)
	if len(first.Data) != 2 || first.Next == nil || *first.Next != "2" ||
		!strings.Contains(w.Header().Get("Link"), "cursor=2") {
		t.Fatalf("first page = %s", w.Body)
	}
	decode(t, k.do("GET", orderPath+"/events?limit=2&cursor="+*first.Next, "").Body.Bytes(), &second)
	if len(second.Data) != 1 || second.Data[0].Seq != 3 || second.Next != nil {
		t.Errorf("second page = %+v", second)
	}
	k.wantProblem(k.do("GET", orderPath+"/events?cursor=abc", ""), 400, "bad-cursor")
}
