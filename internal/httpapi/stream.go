package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/order"
)

// streamPage is how many events are read in one call.
const streamPage = 100

type streamInput struct {
	ID    string `path:"id"`
	After string `query:"after" maxLength:"20" doc:"Only events after this seq are sent. Use it for the first connection, and Last-Event-ID afterwards."`
}

// streamOutput is an answer that is written while it is made.
type streamOutput struct {
	Body func(huma.Context)
}

func (s *server) streamRoute() {
	rt := route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/stream", ID: "stream-order", Tag: "timeline",
		Summary: "Stream the events of an order", Who: "customer (own orders), auditor", Stream: true, Errors: []int{404},
		Description: "Server-sent events: `event` is the type, `id` the seq, and `data` the event as in the timeline. The " +
			"stream begins with the first event unless `after` is sent. After a break, `Last-Event-ID` continues exactly " +
			"where the stream ended, on any node.", Status: http.StatusOK,
	}
	op := s.operation(&rt, nil)
	op.Responses["200"].Content = map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}, Example: s.examples[rt.ID].Response},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *streamInput) (*streamOutput, error) {
		req := requestFrom(ctx)
		st, err := s.openStream(ctx, req, in)
		if err != nil {
			p, hidden := httpkit.ProblemOf(err, req.id)
			if hidden {
				s.cfg.Log.ErrorContext(ctx, "open stream", "request_id", req.id, "error", err)
			}
			return nil, (*problem)(p)
		}
		return &streamOutput{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			st.run(hc.Context(), w)
		}}, nil
	})
}

// stream sends the events of one order to one client. Only the request's goroutine uses it. It holds no database
// connection between reads.
type stream struct {
	s     *server
	req   *request
	order order.ID
	after int // seq of the last event sent
}

func (s *server) openStream(ctx context.Context, req *request, in *streamInput) (*stream, error) {
	after, ok := parseSeq(in.After)
	if !ok {
		return nil, badParameter("after", "This is not the seq of an event.")
	}
	if last := req.http.Header.Get("Last-Event-ID"); last != "" {
		if after, ok = parseSeq(last); !ok {
			return nil, fault.New(fault.KindMalformed, "last-event-id-malformed",
				"Last-Event-ID must be the seq of the last event that you received.")
		}
	}
	o := idIn[order.Order](in.ID)
	if _, err := s.useCases.Order(ctx, req.caller, o); err != nil {
		return nil, err
	}
	return &stream{s: s, req: req, order: o, after: after}, nil
}

// run sends the events that exist, and then new ones: when it is woken, and at every poll. It also sends heartbeats,
// and checks regularly that the caller may still read the order. It returns when the client has gone, the caller has
// lost the permission, or the server is stopping. The client then reconnects with its Last-Event-ID.
func (st *stream) run(ctx context.Context, w http.ResponseWriter) {
	woken, cancel := st.s.cfg.Hub.Subscribe(st.req.caller.Tenant, st.order)
	defer cancel()
	intervals := st.s.cfg.Stream
	//nolint:forbidigo // the client waits in real time
	poll, heartbeat := time.NewTicker(intervals.Poll), time.NewTicker(intervals.Heartbeat)
	defer poll.Stop()
	defer heartbeat.Stop()
	reauthorise := time.NewTicker(intervals.Reauthorise) //nolint:forbidigo // likewise
	defer reauthorise.Stop()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &streamWriter{w: w, control: http.NewResponseController(w), now: st.s.cfg.Now}
	if !out.send("retry: 2000\n\n") || !st.sendNew(ctx, out) {
		return
	}
	for {
		ok := true
		select {
		case <-ctx.Done():
			return
		case <-st.s.cfg.Closing:
			return
		case <-woken:
			ok = st.sendNew(ctx, out)
		case <-poll.C:
			ok = st.sendNew(ctx, out)
		case <-heartbeat.C:
			ok = out.send(": still here\n\n")
		case <-reauthorise.C:
			ok = st.stillAuthorised(ctx)
		}
		if !ok {
			return
		}
	}
}

// sendNew sends every event after the last one that was sent. The use case checks each time that the caller may read
// the order. sendNew returns false if the stream has to end.
func (st *stream) sendNew(ctx context.Context, out *streamWriter) bool {
	for {
		ctx, cancel := context.WithTimeout(ctx, httpkit.RequestTimeout)
		records, err := st.s.useCases.OrderEvents(ctx, st.req.caller, st.order, st.after, streamPage)
		cancel()
		if f := fault.Of(err); err != nil && (f == nil || f.Kind == fault.KindUnavailable) {
			if ctx.Err() == nil {
				st.s.cfg.Log.WarnContext(ctx, "read events of stream", "request_id", st.req.id, "order", st.order.String(),
					"error", err)
			}
			return true // the database is down, and the next read may succeed
		}
		if err != nil {
			return false
		}
		for _, r := range records {
			data, err := httpkit.EncodeJSON(viewEvent(r))
			if err != nil {
				st.s.cfg.Log.ErrorContext(ctx, "encode event", "request_id", st.req.id, "order", st.order.String(), "seq",
					r.Seq, "error", err)
				return false
			}
			if !out.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", r.Seq, r.Type, data)) {
				return false
			}
			st.after = r.Seq
		}
		if len(records) < streamPage {
			return true
		}
	}
}

// stillAuthorised reports whether the key still belongs to the same member of the same tenant, and the member may
// still read the order. If the database is down, it reports true.
func (st *stream) stillAuthorised(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, httpkit.RequestTimeout)
	defer cancel()
	actor, err := st.s.useCases.Authenticate(ctx, st.req.bearer)
	if err != nil {
		f := fault.Of(err)
		return f != nil && f.Kind == fault.KindUnavailable // sendNew checks the permission too
	}
	if actor.Tenant != st.req.caller.Tenant || actor.Member != st.req.caller.Member {
		return false
	}
	st.req.caller.Actor = actor // the role may have changed
	_, err = st.s.useCases.Order(ctx, app.Caller{Actor: actor}, st.order)
	f := fault.Of(err)
	return err == nil || f != nil && f.Kind == fault.KindUnavailable
}

// streamWriter sets a deadline for each write, because the server's own deadline would end the stream.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
}

// send writes a text at once. It returns false if the client has gone.
func (o *streamWriter) send(text string) bool {
	// The errors are ignored, because a writer in a test may have no deadlines and no flushing.
	_ = o.control.SetWriteDeadline(o.now().Add(httpkit.WriteTimeout))
	if _, err := o.w.Write([]byte(text)); err != nil {
		return false
	}
	_ = o.control.Flush()
	return true
}
