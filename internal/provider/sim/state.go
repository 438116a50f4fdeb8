package sim

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// record is one line of the ledger. It holds everything that one call changed, so that a torn line loses the whole
// call.
type record struct {
	At        time.Time   `json:"at"`
	Call      *Call       `json:"call,omitempty"`
	Seen      []int       `json:"seen,omitempty"`  // the rules that counted the call
	Fired     int         `json:"fired,omitempty"` // the rule that acted
	Make      []*resource `json:"make,omitempty"`
	Later     *lateCreate `json:"later,omitempty"`
	CameTrue  int         `json:"came_true,omitempty"` // the number of an earlier Later that is carried out now
	Going     []removal   `json:"going,omitempty"`
	Issued    *issuance   `json:"issued,omitempty"`
	LastID    int         `json:"last_id,omitempty"` // the highest number in an id so far
	NewRule   *Fault      `json:"new_rule,omitempty"`
	DropRules bool        `json:"drop_rules,omitempty"`
}

// resource is one resource that exists. Its phase follows from its times. A zero time never comes.
type resource struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Kind          string            `json:"kind"`
	Region        string            `json:"region"`
	Product       string            `json:"product,omitempty"`
	Plan          string            `json:"plan,omitempty"`
	Configuration json.RawMessage   `json:"configuration,omitempty"`
	SpecHash      string            `json:"spec_hash,omitempty"`
	Needs         []string          `json:"needs,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Takes         Amounts           `json:"takes,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	ReadyAt   time.Time `json:"ready_at,omitzero"`
	FailAt    time.Time `json:"fail_at,omitzero"`
	FailCode  string    `json:"fail_code,omitempty"`
	VanishAt  time.Time `json:"vanish_at,omitzero"`
	ListedAt  time.Time `json:"listed_at,omitzero"` // lists do not show it before
	FoundAt   time.Time `json:"found_at,omitzero"`  // reads by id do not find it before

	Deleting     bool      `json:"-"`
	GoneAt       time.Time `json:"-"`
	DeleteFailAt time.Time `json:"-"`
	leaves       *resource // the resource that remains when this one is gone
	version      int       // how often its credentials were replaced
}

// removal is the beginning of a resource's removal.
type removal struct {
	ID     string    `json:"id"`
	GoneAt time.Time `json:"gone_at,omitzero"`
	FailAt time.Time `json:"fail_at,omitzero"`
	Leaves *resource `json:"leaves,omitempty"`
}

// issuance records that credentials were issued.
type issuance struct {
	Item    string   `json:"item"`
	IDs     []string `json:"ids"`     // the item's resources in plan order
	Version int      `json:"version"` // the version of the credentials
}

// lateCreate is a request that takes effect after its caller gave up.
type lateCreate struct {
	Number  int           `json:"number"`
	Due     time.Time     `json:"due"`
	Request createRequest `json:"request"`
}

func reached(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// phase returns the phase of a resource that exists.
func (r *resource) phase(now time.Time) provider.Phase {
	if r.Deleting {
		if reached(now, r.DeleteFailAt) {
			return provider.Failed
		}
		return provider.Deleting
	}
	if reached(now, r.FailAt) {
		return provider.Failed
	}
	if reached(now, r.ReadyAt) {
		return provider.Ready
	}
	return provider.Pending
}

// view returns the resource as the API shows it.
func (r *resource) view(now time.Time) Resource {
	v := Resource{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Region: r.Region, Phase: r.phase(now).String(),
		SpecHash: r.SpecHash, Labels: maps.Clone(r.Labels), CreatedAt: r.CreatedAt,
	}
	switch r.phase(now) {
	case provider.Failed:
		v.FaultCode, v.Detail = r.FailCode, "the resource is in an error state"
		if r.Deleting {
			v.FaultCode = codeDeleteFailed
		}
	case provider.Ready:
		v.Progress, v.Detail = 100, "active"
	case provider.Deleting:
		v.Detail = "deleting"
	default:
		v.Detail = "building"
		if whole := r.ReadyAt.Sub(r.CreatedAt); whole > 0 {
			v.Progress = uint8(min(99, max(0, 100*now.Sub(r.CreatedAt)/whole)))
		}
	}
	return v
}

// state is everything that the cloud knows. Only apply and settle change it, so that replaying the records
// restores it. The server's mutex guards it.
type state struct {
	resources map[string]*resource
	byName    map[string][]*resource // per name, oldest first
	byItem    map[string][]*resource // per label pf-item, oldest first
	used      map[string]Amounts     // per region
	issued    map[string][]access    // per item: the credentials that were issued, each once, newest last
	late      map[int]lateCreate
	due       timeline
	rules     []*rule
	calls     map[string]int // per operation and key name
	lastID    int            // the highest number in an id so far
	lateEver  int            // how many late creates there have been
	rulesEver int            // how many rules there have been
}

func newState() *state {
	return &state{
		resources: map[string]*resource{}, byName: map[string][]*resource{}, byItem: map[string][]*resource{},
		used: map[string]Amounts{}, issued: map[string][]access{}, late: map[int]lateCreate{}, calls: map[string]int{},
	}
}

// apply changes the state by one record. Nothing settles while a ledger is replayed, so everything that a record
// names still exists.
func (s *state) apply(r record) {
	if r.Call != nil {
		s.calls[r.Call.Operation+" "+r.Call.Key]++
	}
	for _, u := range s.rules {
		if slices.Contains(r.Seen, u.ID) {
			u.seen++
		}
		if r.Fired == u.ID {
			u.fired++
		}
	}
	for _, m := range r.Make {
		s.insert(m)
	}
	for _, g := range r.Going {
		s.remove(g)
	}
	if r.Later != nil {
		s.lateEver = r.Later.Number
		s.late[r.Later.Number] = *r.Later
		heap.Push(&s.due, event{at: r.Later.Due, late: r.Later.Number})
	}
	if r.CameTrue != 0 {
		delete(s.late, r.CameTrue)
	}
	if r.Issued != nil {
		s.issue(*r.Issued)
	}
	s.lastID = max(s.lastID, r.LastID)
	if r.DropRules {
		s.rules = nil
	}
	if r.NewRule != nil {
		s.rulesEver = r.NewRule.ID
		s.rules = append(s.rules, &rule{Fault: *r.NewRule})
	}
}

func (s *state) insert(r *resource) {
	s.resources[r.ID] = r
	s.byName[r.Name] = append(s.byName[r.Name], r)
	item := r.Labels[provider.LabelItem]
	s.byItem[item] = append(s.byItem[item], r)
	s.take(r.Region, r.Takes, 1)
	if !r.VanishAt.IsZero() {
		heap.Push(&s.due, event{at: r.VanishAt, id: r.ID})
	}
}

func (s *state) issue(i issuance) {
	var a access
	for _, id := range i.IDs {
		r := s.resources[id]
		if r == nil {
			return
		}
		r.version = i.Version
		a.resources = append(a.resources, r)
	}
	a.version = i.Version
	known := s.issued[i.Item]
	if !slices.ContainsFunc(known, a.equal) {
		s.issued[i.Item] = append(known, a)
	}
}

func (s *state) take(region string, amounts Amounts, times int64) {
	if s.used[region] == nil {
		s.used[region] = Amounts{}
	}
	s.used[region].add(amounts, times)
}

func (s *state) remove(g removal) {
	r := s.resources[g.ID]
	if r == nil {
		return
	}
	r.Deleting, r.GoneAt, r.DeleteFailAt, r.leaves = true, g.GoneAt, g.FailAt, g.Leaves
	if !r.GoneAt.IsZero() {
		heap.Push(&s.due, event{at: r.GoneAt, id: r.ID})
	}
}

// settle carries out what is due at now, in the order of its times. If it meets a late create that is due, it
// returns it; the caller carries it out and calls settle again.
func (s *state) settle(now time.Time) (lateCreate, bool) {
	for len(s.due) > 0 && reached(now, s.due[0].at) {
		e := heap.Pop(&s.due).(event)
		if e.id == "" {
			if l, open := s.late[e.late]; open {
				return l, true
			}
			continue
		}
		r := s.resources[e.id]
		if r == nil || !(r.GoneAt.Equal(e.at) || r.VanishAt.Equal(e.at)) { // gone already, or its time has changed
			continue
		}
		s.forget(r)
		if r.leaves != nil {
			s.insert(r.leaves)
		}
	}
	return lateCreate{}, false
}

func (s *state) forget(r *resource) {
	is := func(o *resource) bool { return o == r }
	delete(s.resources, r.ID)
	item := r.Labels[provider.LabelItem]
	if s.byName[r.Name] = slices.DeleteFunc(s.byName[r.Name], is); len(s.byName[r.Name]) == 0 {
		delete(s.byName, r.Name)
	}
	if s.byItem[item] = slices.DeleteFunc(s.byItem[item], is); len(s.byItem[item]) == 0 {
		delete(s.byItem, item)
	}
	s.take(r.Region, r.Takes, -1)
}

// selected returns the resources that carry all labels and that lists show, ordered by (created, id).
func (s *state) selected(now time.Time, labels map[string]string) []*resource {
	var found []*resource
	add := func(r *resource) {
		for k, v := range labels {
			if r.Labels[k] != v {
				return
			}
		}
		if !now.Before(r.ListedAt) {
			found = append(found, r)
		}
	}
	if item := labels[provider.LabelItem]; item != "" {
		for _, r := range s.byItem[item] {
			add(r)
		}
	} else {
		for _, r := range s.resources {
			add(r)
		}
	}
	slices.SortFunc(found, byAge)
	return found
}

func byAge(a, b *resource) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
}

// neededBy returns the id of a live resource that needs r, or "".
func (s *state) neededBy(r *resource) string {
	for _, o := range s.byItem[r.Labels[provider.LabelItem]] {
		if slices.Contains(o.Needs, r.ID) {
			return o.ID
		}
	}
	return ""
}

// event is something that happens at a time: the end of a resource or a late create.
type event struct {
	at   time.Time
	id   string
	late int
}

// timeline is a heap of events, ordered by time.
type timeline []event

func (t timeline) Len() int           { return len(t) }
func (t timeline) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timeline) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push adds an event, for container/heap.
func (t *timeline) Push(x any) { *t = append(*t, x.(event)) }

// Pop removes the last event, for container/heap.
func (t *timeline) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
