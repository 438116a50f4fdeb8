package sim

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// ServerConfig says what cloud to be. Only Ledger is required.
type ServerConfig struct {
	Ledger   string // the state's file; its root key lies beside it, with the suffix ".key"
	Speed    float64
	Seed     int64
	Naming   provider.Naming
	Capacity map[string]Amounts // per region; a region not named here has plenty
	Quota    map[string]Amounts // likewise

	// Now is the clock of a test. With it nothing takes real time: requests are answered at once, those
	// that would hang end at once, and resources move as the clock does. Nil is the real clock.
	Now    func() time.Time
	Sync   func(*os.File) error // nil: (*os.File).Sync
	Random io.Reader            // for the root key; nil: crypto/rand
}

// Server is the cloud. It is an http.Handler; what time brings takes place when somebody asks.
type Server struct {
	cfg    ServerConfig
	sleeps bool
	root   []byte
	ledger *ledger
	mux    *http.ServeMux

	mu    sync.Mutex // owns state and where the ledger ends
	state *state
}

// NewServer opens the ledger and takes its state in. ErrLedgerInUse: another sim holds it.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{cfg: cfg, sleeps: cfg.Now == nil, state: newState(), mux: http.NewServeMux()}
	if s.cfg.Speed == 0 {
		s.cfg.Speed = 1
	}
	if s.cfg.Speed < 0 {
		return nil, fmt.Errorf("speed %v must be positive", s.cfg.Speed)
	}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	if s.cfg.Sync == nil {
		s.cfg.Sync = (*os.File).Sync
	}
	if s.cfg.Random == nil {
		s.cfg.Random = rand.Reader
	}
	var err error
	if s.ledger, err = openLedger(cfg.Ledger, s.cfg.Sync, s.state.apply); err != nil {
		return nil, err
	}
	if s.root, err = loadRoot(cfg.Ledger+".key", s.cfg.Random); err != nil {
		return nil, errors.Join(err, s.ledger.close())
	}
	s.route()
	return s, nil
}

// Close releases the ledger. No request may be running.
func (s *Server) Close() error {
	if err := s.ledger.close(); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

func (s *Server) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.cfg.Speed)
}

// reply is an answer before it is written.
type reply struct {
	status     int
	body       any
	retryAfter int           // seconds
	spoil      string        // how the answer is spoilt: a Fault kind
	delay      time.Duration // before it is written
}

func refuse(status int, code, detail string) reply {
	return reply{status: status, body: errorBody{wireError{Code: code, Detail: detail}}}
}

// transact carries out one call: faults that have no effect first, then do, which decides and changes
// nothing itself; what it decided goes to the ledger and then into the state. The answer to an effect
// waits until the ledger is on disk.
func (s *Server) transact(call Call, do func(now time.Time, f Fault, r *record) reply) (reply, error) {
	s.mu.Lock()
	now, err := s.arrive()
	if err != nil {
		s.mu.Unlock()
		return reply{}, err
	}
	call.At = now
	r := record{At: now, Call: &call}
	f := s.strike(&r)
	latency := s.draw(call.Key, "call "+call.Operation, call.Operation, 150*time.Millisecond, 400*time.Millisecond)
	out, done := withoutEffect(f, &r)
	if !done {
		out = do(now, f, &r)
	}
	if out.spoil == "" {
		out.spoil = f.Kind
	}
	r.LastID = s.state.lastID
	end, err := s.ledger.append(r)
	if err == nil {
		s.state.apply(r)
	}
	s.mu.Unlock()
	if err != nil {
		return reply{}, err
	}
	if out.delay += latency; f.Kind == Slow {
		out.delay += s.scaled(f.after())
	}
	if call.Effect || r.Later != nil || r.Issued != nil {
		err = s.ledger.wait(end, s.end)
	}
	return out, err
}

// arrive lets pass what time has brought and returns the time. The caller holds mu.
func (s *Server) arrive() (time.Time, error) {
	now := s.cfg.Now().UTC().Round(0)
	for {
		late, due := s.state.settle(now)
		if !due {
			return now, nil
		}
		if err := s.comeTrue(late); err != nil {
			return now, err
		}
	}
}

// comeTrue carries out a create whose caller gave up, at the time it was due.
func (s *Server) comeTrue(late lateCreate) error {
	call := about(OpCreate, late.Request.Name, late.Request.Labels)
	call.At = late.Due
	r := record{At: late.Due, Call: &call, CameTrue: late.Number}
	s.create(late.Due, late.Request, Fault{}, &r)
	call.Fault = Late
	r.LastID = s.state.lastID
	if _, err := s.ledger.append(r); err != nil {
		return err
	}
	s.state.apply(r)
	return nil
}

func (s *Server) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.size
}

// strike finds the rule that acts on the call, and lets all that match count it.
func (s *Server) strike(r *record) Fault {
	var acts *rule
	for _, u := range s.state.rules {
		if !u.matches(*r.Call) {
			continue
		}
		r.Seen = append(r.Seen, u.ID)
		seen := u.seen + 1
		due := seen >= u.Nth && (u.Times == 0 || u.fired < u.Times)
		if due && u.Rate > 0 {
			due = draw(s.cfg.Seed, r.Call.Key, fmt.Sprintf("fault %d", u.ID), seen) < u.Rate
		}
		if due && acts == nil {
			acts = u
		}
	}
	if acts == nil {
		return Fault{}
	}
	r.Fired, r.Call.Fault = acts.ID, acts.Kind
	return acts.Fault
}

// withoutEffect answers the faults that stop a call before it does anything.
func withoutEffect(f Fault, r *record) (reply, bool) {
	if f.Kind == Timeout {
		r.Call.Result = Timeout
		return reply{spoil: Timeout}, true
	}
	no, ok := refusalOf(f.Kind)
	if !ok {
		return reply{}, false
	}
	r.Call.Result = no.code
	out := refuse(no.status, no.code, "by a scripted fault")
	if f.Kind == RateLimited {
		out.retryAfter = max(1, int(f.after().Round(time.Second)/time.Second))
	}
	return out, true
}

// draw is a scaled duration for the key's next call of an operation.
func (s *Server) draw(key, step, operation string, p50, p95 time.Duration) time.Duration {
	u := draw(s.cfg.Seed, key, step, s.state.calls[operation+" "+key])
	return s.scaled(lognormal(u, p50, p95))
}

// about describes a call by its resource's labels.
func about(operation, key string, labels map[string]string) Call {
	return Call{
		Operation: operation, Key: key, Tenant: labels[labelTenant], Order: labels[labelOrder], Item: labels[labelItem],
		Part: labels[labelStep], Generation: labels[labelGeneration], Product: labels[labelProduct],
		Label: labels[labelLabel],
	}
}

func (s *Server) newID(kind string) string {
	s.state.lastID++
	return fmt.Sprintf("%s-%d", kind, s.state.lastID)
}

// create decides on one request to make a resource.
func (s *Server) create(now time.Time, q createRequest, f Fault, r *record) reply {
	out := s.judge(now, q, r)
	if out.status != 0 {
		return out
	}
	if f.Kind == Late {
		s.state.postponed++
		r.Later = &lateCreate{Number: s.state.postponed, Due: now.Add(s.scaled(f.after())), Request: q}
		r.Call.Result = Late
		return reply{spoil: Timeout}
	}
	c, err := readConfiguration(q.Configuration)
	if err != nil {
		r.Call.Result = codeInvalid
		return refuse(http.StatusUnprocessableEntity, codeInvalid, "the configuration cannot be read")
	}
	takes := demand(q.Product, q.Plan, q.Kind, c)
	if what := lacking(takes, s.state.used[q.Region], s.limit(s.cfg.Quota, q.Region)); what != "" {
		r.Call.Result = codeQuota
		return refuse(http.StatusForbidden, codeQuota, "quota of "+what+" exceeded")
	}
	full := lacking(takes, s.state.used[q.Region], s.limit(s.cfg.Capacity, q.Region)) != ""
	if full && q.Region == "hetzner-fsn1" { // this one says so at once, the others find out later
		r.Call.Result = codeNoCapacity
		return refuse(http.StatusConflict, codeNoCapacity, "no room in "+q.Region)
	}
	if full {
		f.Kind = NoValidHost
	}
	res := s.build(now, q, takes, f)
	r.Make = append(r.Make, res)
	r.Call.Result, r.Call.Effect, r.Call.IDs = "created", true, append(r.Call.IDs, res.ID)
	if f.Kind == Duplicate && s.cfg.Naming == provider.NamingNone {
		duplicate := s.build(now, q, takes, Fault{})
		r.Make, r.Call.IDs = append(r.Make, duplicate), append(r.Call.IDs, duplicate.ID)
	}
	return reply{status: http.StatusAccepted, body: res.view(now)}
}

func (s *Server) limit(of map[string]Amounts, region string) Amounts {
	if a, ok := of[region]; ok {
		return a
	}
	return plenty()
}

// judge refuses what cannot be made, and answers what is there already; status 0 lets it pass.
func (s *Server) judge(now time.Time, q createRequest, r *record) reply {
	_, known := findStep(q.Product, q.Kind)
	if q.Name == "" || !known || !slices.Contains(offered(q.Region), q.Product) {
		r.Call.Result = codeInvalid
		return refuse(http.StatusUnprocessableEntity, codeInvalid, "region, product or kind is not offered")
	}
	for _, id := range q.Needs {
		need := s.state.resources[id]
		if need == nil {
			r.Call.Result = codeReference
			return refuse(http.StatusUnprocessableEntity, codeReference, "a needed resource does not exist")
		}
		if need.phase(now) != provider.Ready {
			r.Call.Result = codeNotReady
			return refuse(http.StatusConflict, codeNotReady, "a needed resource is not ready")
		}
	}
	named := s.state.byName[q.Name]
	if len(named) == 0 || s.cfg.Naming == provider.NamingNone {
		return reply{}
	}
	old := named[0]
	ours := sameOwner(old.Labels, q.Labels)
	view := old.view(now)
	r.Call.IDs = []string{old.ID}
	if s.cfg.Naming == provider.NamingUpsert && ours && !old.Deleting {
		r.Call.Result = "exists"
		return reply{status: http.StatusOK, body: view}
	}
	r.Call.Result = codeNameTaken
	out := refuse(http.StatusConflict, codeNameTaken, "the name is taken")
	out.body = errorBody{wireError{Code: codeNameTaken, Detail: "the name is taken", Existing: &view}}
	return out
}

// sameOwner reports whether two resources carry the same computed labels.
func sameOwner(a, b map[string]string) bool {
	for _, k := range []string{
		provider.LabelInstallation, provider.LabelItem, provider.LabelStep, provider.LabelGeneration,
	} {
		if a[k] == "" || a[k] != b[k] {
			return false
		}
	}
	return true
}

// build is the resource that a request makes, with the life that the fault gives it.
func (s *Server) build(now time.Time, q createRequest, takes Amounts, f Fault) *resource {
	p, _ := findStep(q.Product, q.Kind)
	took := s.draw(q.Name, "ready", OpCreate, p.ready, p.readyHi)
	res := &resource{
		ID: s.newID(q.Kind), Name: q.Name, Kind: q.Kind, Region: q.Region, Product: q.Product, Plan: q.Plan,
		Configuration: q.Configuration, SpecHash: q.SpecHash, Needs: q.Needs, Labels: q.Labels, Takes: takes,
		CreatedAt: now, ReadyAt: now.Add(took),
	}
	after := s.scaled(f.after())
	switch f.Kind {
	case Stuck:
		res.ReadyAt = time.Time{}
	case FailedBuild:
		res.FailAt, res.FailCode = res.ReadyAt, codeBuildFailed
	case NoValidHost: // it never had a host, so it holds no room
		res.FailAt, res.FailCode, res.Takes = now.Add(s.scaled(2*time.Second)), codeNoValidHost, nil
	case Vanish:
		res.VanishAt = res.ReadyAt.Add(after)
	case ListLag:
		res.ListedAt = now.Add(after)
	case GetLag:
		res.FoundAt = now.Add(after)
	}
	return res
}

// remove decides on the removal of some resources: all, or none when one of them is in use.
func (s *Server) remove(now time.Time, targets []*resource, f Fault, r *record) reply {
	for _, t := range targets {
		if user := s.state.neededBy(t); user != "" {
			r.Call.Result = codeInUse
			return refuse(http.StatusConflict, codeInUse, t.ID+" is in use by "+user)
		}
	}
	r.Call.Result = "accepted"
	for _, t := range targets {
		r.Call.IDs = append(r.Call.IDs, t.ID)
		if t.Deleting && !t.GoneAt.IsZero() {
			continue
		}
		r.Call.Effect = true
		r.Going = append(r.Going, s.goingOf(now, t, f))
	}
	out := reply{status: http.StatusAccepted, body: map[string]int{"deleted": len(targets)}}
	if f.Kind == Late {
		out.spoil = Timeout
	}
	return out
}

func (s *Server) goingOf(now time.Time, t *resource, f Fault) going {
	took := time.Second
	if p, ok := findStep(t.Product, t.Kind); ok {
		took = s.draw(t.Name, "gone "+t.ID, OpDelete, p.gone, 3*p.gone)
	}
	g := going{ID: t.ID, GoneAt: now.Add(took)}
	switch f.Kind {
	case Stuck:
		g.GoneAt = time.Time{}
	case FailedBuild:
		g.GoneAt, g.FailAt = time.Time{}, g.GoneAt
	case Late:
		g.GoneAt = g.GoneAt.Add(s.scaled(f.after()))
	case Orphan:
		id := s.newID("child-volume")
		g.Leaves = &resource{
			ID: id, Name: t.Name + "-" + strings.TrimPrefix(id, "child-"), Kind: "child-volume", Region: t.Region,
			Product: t.Product, Labels: t.Labels, CreatedAt: t.CreatedAt, ReadyAt: t.CreatedAt,
		}
	}
	return g
}
