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

// ServerConfig is the configuration of a Server. Only Ledger is required.
type ServerConfig struct {
	Ledger   string // the file with the state; the root key is in a file of the same name with the suffix ".key"
	Speed    float64
	Seed     int64
	Naming   provider.Naming
	Capacity map[string]Amounts // per region; a region that is not named here is unlimited
	Quota    map[string]Amounts // likewise

	// Now is the clock of a test. With it nothing takes real time: requests are answered at once, those that
	// would hang end at once, and resources follow the clock. Nil means the real clock.
	Now    func() time.Time
	Sync   func(*os.File) error // nil: (*os.File).Sync
	Random io.Reader            // for the root key; nil: crypto/rand
}

// Server is the cloud. It is an http.Handler. What is due by the clock happens at the next request.
type Server struct {
	cfg    ServerConfig
	sleeps bool
	root   []byte
	ledger *ledger
	mux    *http.ServeMux

	mu    sync.Mutex // guards state and the end of the ledger
	state *state
}

// NewServer opens the ledger and replays it. It returns ErrLedgerInUse if another sim has the ledger open.
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
	damage     string        // how the answer is damaged: a kind of Fault
	delay      time.Duration // before it is written
}

func refuse(status int, code, detail string) reply {
	return reply{status: status, body: errorBody{wireError{Code: code, Detail: detail}}}
}

// transact carries out one call. A fault without effect answers first, else do decides. What do decides is written
// to the ledger and then applied to the state; do itself changes no resource. A call with an effect is answered
// when the ledger is on disk.
func (s *Server) transact(call Call, do func(now time.Time, f Fault, r *record) reply) (reply, error) {
	s.mu.Lock()
	now, err := s.advance()
	if err != nil {
		s.mu.Unlock()
		return reply{}, err
	}

	call.At = now
	r := record{At: now, Call: &call}
	f := s.matchFault(&r)
	latency := s.draw(call.Key, "call "+call.Operation, call.Operation, 150*time.Millisecond, 400*time.Millisecond)
	out, done := answerWithoutEffect(f, &r)
	if !done {
		out = do(now, f, &r)
	}
	if out.damage == "" {
		out.damage = f.Kind
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

// advance carries out everything that is due and returns the time. The caller holds mu.
func (s *Server) advance() (time.Time, error) {
	now := s.cfg.Now().UTC().Round(0)
	for {
		late, due := s.state.settle(now)
		if !due {
			return now, nil
		}
		if err := s.carryOutLate(late); err != nil {
			return now, err
		}
	}
}

// carryOutLate carries out a create whose caller gave up, at the time when it was due.
func (s *Server) carryOutLate(late lateCreate) error {
	call := callAbout(OpCreate, late.Request.Name, late.Request.Labels)
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

// matchFault returns the fault of the rule that acts on the call, and counts the call for all rules that match.
func (s *Server) matchFault(r *record) Fault {
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

// answerWithoutEffect answers a call with a fault that stops it before it has an effect.
func answerWithoutEffect(f Fault, r *record) (reply, bool) {
	if f.Kind == Timeout {
		r.Call.Result = Timeout
		return reply{damage: Timeout}, true
	}
	refused, ok := refusalOf(f.Kind)
	if !ok {
		return reply{}, false
	}
	r.Call.Result = refused.code
	out := refuse(refused.status, refused.code, "by a scripted fault")
	if f.Kind == RateLimited {
		out.retryAfter = max(1, int(f.after().Round(time.Second)/time.Second))
	}
	return out, true
}

// draw returns a scaled duration for the key's next call of an operation.
func (s *Server) draw(key, step, operation string, p50, p95 time.Duration) time.Duration {
	u := draw(s.cfg.Seed, key, step, s.state.calls[operation+" "+key])
	return s.scaled(lognormal(u, p50, p95))
}

// callAbout describes a call by its resource's labels.
func callAbout(operation, key string, labels map[string]string) Call {
	return Call{
		Operation: operation, Key: key, Tenant: labels[labelTenant], Order: labels[labelOrder], Item: labels[labelItem],
		Step: labels[labelStep], Generation: labels[labelGeneration], Product: labels[labelProduct],
		Label: labels[labelLabel],
	}
}

func (s *Server) newID(kind string) string {
	s.state.lastID++
	return fmt.Sprintf("%s-%d", kind, s.state.lastID)
}

// create decides about one request to create a resource.
func (s *Server) create(now time.Time, q createRequest, f Fault, r *record) reply {
	out := s.precheck(now, q, r)
	if out.status != 0 {
		return out
	}
	if f.Kind == Late {
		s.state.lateEver++
		r.Later = &lateCreate{Number: s.state.lateEver, Due: now.Add(s.scaled(f.after())), Request: q}
		r.Call.Result = Late
		return reply{damage: Timeout}
	}
	c, err := readConfiguration(q.Configuration)
	if err != nil {
		r.Call.Result = codeInvalid
		return refuse(http.StatusUnprocessableEntity, codeInvalid, "the configuration cannot be read")
	}
	takes := demand(q.Product, q.Plan, q.Kind, c)
	if what := shortage(takes, s.state.used[q.Region], s.limit(s.cfg.Quota, q.Region)); what != "" {
		r.Call.Result = codeQuota
		return refuse(http.StatusForbidden, codeQuota, "quota of "+what+" exceeded")
	}
	full := shortage(takes, s.state.used[q.Region], s.limit(s.cfg.Capacity, q.Region)) != ""
	if full && q.Region == "hetzner-fsn1" { // this region refuses at once; at the others the resource fails later
		r.Call.Result = codeNoCapacity
		return refuse(http.StatusConflict, codeNoCapacity, "no capacity in "+q.Region)
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
	return unlimited()
}

// precheck answers a request that is invalid or whose name exists already. Status 0 means that the request may be
// carried out.
func (s *Server) precheck(now time.Time, q createRequest, r *record) reply {
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
	existing := named[0]
	ours := sameOwner(existing.Labels, q.Labels)
	view := existing.view(now)
	r.Call.IDs = []string{existing.ID}
	if s.cfg.Naming == provider.NamingUpsert && ours && !existing.Deleting {
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

// build returns the resource that a request creates, with the times that the fault gives it.
func (s *Server) build(now time.Time, q createRequest, takes Amounts, f Fault) *resource {
	p, _ := findStep(q.Product, q.Kind)
	took := s.draw(q.Name, "ready", OpCreate, p.readyP50, p.readyP95)
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
	case NoValidHost: // it never has a host, so it takes no capacity
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

// remove decides about the removal of some resources: of all of them, or of none if one is in use.
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
		r.Going = append(r.Going, s.removalOf(now, t, f))
	}
	out := reply{status: http.StatusAccepted, body: map[string]int{"deleted": len(targets)}}
	if f.Kind == Late {
		out.damage = Timeout
	}
	return out
}

func (s *Server) removalOf(now time.Time, t *resource, f Fault) removal {
	took := time.Second
	if p, ok := findStep(t.Product, t.Kind); ok {
		took = s.draw(t.Name, "gone "+t.ID, OpDelete, p.gone, 3*p.gone)
	}
	g := removal{ID: t.ID, GoneAt: now.Add(took)}
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
