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

// streamPage is how many events are read at once.
const streamPage = 100

type streamInput struct {
	ID    string `path:"id"`
	After string `query:"after" maxLength:"20" doc:"As Last-Event-ID, for the first connection: only events after this seq."`
}

// streamOutput is written as it goes.
type streamOutput struct {
	Body func(huma.Context)
}

func (s *server) streamRoute() {
	rt := route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/stream", ID: "stream-order", Tag: "timeline",
		Summary: "Follow an order", Who: "customer (own orders), auditor", Stream: true, Errors: []int{404},
		Description: "Server-sent events: `event` is the type, `id` the seq, `data` the event as in the timeline. Begins " +
			"with the first event unless told otherwise; after a break `Last-Event-ID` goes on exactly where it stopped, on " +
			"any node.", Status: http.StatusOK,
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

// stream is one client following one order. It belongs to the request's goroutine and holds no
// database connection between its looks.
type stream struct {
	s     *server
	req   *request
	order order.ID
	after int // seq of the last event sent
}

func (s *server) openStream(ctx context.Context, req *request, in *streamInput) (*stream, error) {
	after, ok := parseSeq(in.After)
	if !ok {
		return nil, badParameter("after", "This is no event's seq.")
	}
	if last := req.http.Header.Get("Last-Event-ID"); last != "" {
		if after, ok = parseSeq(last); !ok {
			return nil, fault.New(fault.KindMalformed, "last-event-id-malformed",
				"Last-Event-ID is the seq of the last event you have.")
		}
	}
	o := idIn[order.Order](in.ID)
	if _, err := s.useCases.Order(ctx, req.caller, o); err != nil {
		return nil, err
	}
	return &stream{s: s, req: req, order: o, after: after}, nil
}

// run sends what there is, then waits: to be woken, for the next look, for the heartbeat, or to ask
// again whether the caller may still listen. It ends when the client has gone, may listen no more, or
// the server is to stop; the client comes back with its Last-Event-ID.
func (st *stream) run(ctx context.Context, w http.ResponseWriter) {
	woken, cancel := st.s.cfg.Hub.Subscribe(st.req.caller.Tenant, st.order)
	defer cancel()
	times := st.s.cfg.Stream
	//nolint:forbidigo // a heartbeat on the wire: real time
	poll, beat, again := time.NewTicker(times.Poll), time.NewTicker(times.Heartbeat), time.NewTicker(times.Reauthorise)
	defer poll.Stop()
	defer beat.Stop()
	defer again.Stop()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &streamWriter{w: w, control: http.NewResponseController(w), now: st.s.cfg.Now}
	if !out.send("retry: 2000\n\n") || !st.look(ctx, out) {
		return
	}
	for {
		on := true
		select {
		case <-ctx.Done():
			return
		case <-st.s.cfg.Closing:
			return
		case <-woken:
			on = st.look(ctx, out)
		case <-poll.C:
			on = st.look(ctx, out)
		case <-beat.C:
			on = out.send(": still here\n\n")
		case <-again.C:
			on = st.mayStay(ctx)
		}
		if !on {
			return
		}
	}
}

// look sends every event after the last one sent. The use case checks each time whose order it is.
func (st *stream) look(ctx context.Context, out *streamWriter) bool {
	for {
		ctx, cancel := context.WithTimeout(ctx, httpkit.RequestTimeout)
		records, err := st.s.useCases.OrderEvents(ctx, st.req.caller, st.order, st.after, streamPage)
		cancel()
		if f := fault.Of(err); err != nil && (f == nil || f.Kind == fault.KindUnavailable) {
			if ctx.Err() == nil {
				st.s.cfg.Log.WarnContext(ctx, "stream look", "request_id", st.req.id, "order", st.order.String(), "error", err)
			}
			return true // the database is away: the next look may find it
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

// mayStay asks again whether the key still stands for the same member of the same tenant, and the order
// is still theirs to see.
func (st *stream) mayStay(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, httpkit.RequestTimeout)
	defer cancel()
	actor, err := st.s.useCases.Authenticate(ctx, st.req.bearer)
	if err != nil {
		f := fault.Of(err)
		return f != nil && f.Kind == fault.KindUnavailable // asked again in a minute; each look is checked besides
	}
	if actor.Tenant != st.req.caller.Tenant || actor.Member != st.req.caller.Member {
		return false
	}
	st.req.caller.Actor = actor // the role may have changed
	_, err = st.s.useCases.Order(ctx, app.Caller{Actor: actor}, st.order)
	f := fault.Of(err)
	return err == nil || f != nil && f.Kind == fault.KindUnavailable
}

// streamWriter writes with a deadline of its own for each write: the server's would end the stream.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
}

func (o *streamWriter) send(text string) bool {
	// A writer without deadlines or flushing (a test's) is written to all the same.
	_ = o.control.SetWriteDeadline(o.now().Add(httpkit.WriteTimeout))
	if _, err := o.w.Write([]byte(text)); err != nil {
		return false
	}
	_ = o.control.Flush()
	return true
}
