package sim

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// maxBody is the largest body, in bytes, that either side reads.
const maxBody = 1 << 20

func (s *Server) route() {
	s.mux.HandleFunc("POST /v1/resources", s.postResource)
	s.mux.HandleFunc("GET /v1/resources/{id}", s.getResource)
	s.mux.HandleFunc("GET /v1/resources", s.getResources)
	s.mux.HandleFunc("POST /v1/reads", s.postReads)
	s.mux.HandleFunc("DELETE /v1/resources/{id}", s.deleteResource)
	s.mux.HandleFunc("DELETE /v1/resources", s.deleteResources)
	s.mux.HandleFunc("GET /v1/credentials", s.getCredentials)
	s.mux.HandleFunc("GET /v1/facts", s.getFacts)
	s.mux.HandleFunc("GET /v1/quota", s.getQuota)
	s.mux.HandleFunc("GET /healthz", s.getHealth)
	s.mux.HandleFunc("GET /ledger", s.getLedger)
	s.mux.HandleFunc("GET /secrets/{item}", s.getSecrets)
	s.mux.HandleFunc("GET /faults", s.getFaults)
	s.mux.HandleFunc("POST /faults", s.postFault)
	s.mux.HandleFunc("DELETE /faults", s.deleteFaults)
	s.mux.HandleFunc("POST /foreign", s.postForeign)
}

// ServeHTTP answers one request. There is no login, so the request must name a loopback host: a web page whose
// name resolves to this machine (DNS rebinding) is refused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !loopback(r.Host) || r.Header.Get("Origin") != "" {
		write(w, refuse(http.StatusForbidden, codeForbidden, "only programs on this machine are allowed"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

func loopback(hostport string) bool {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = strings.Trim(hostport, "[]")
	}
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// answer writes the reply, damaged as its fault says.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, out reply, err error) {
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, codeInternal, err.Error()))
		return
	}
	if s.sleeps && out.delay > 0 {
		time.Sleep(out.delay)
	}
	switch out.damage {
	case Timeout:
		s.hang(r)
		cut(w, r)
	case LostReply:
		cut(w, r)
	case Malformed:
		writeHalf(w, out)
	}
	write(w, out)
}

// hang waits until the caller gives up, for at most 30 s of the scaled clock.
func (s *Server) hang(r *http.Request) {
	if !s.sleeps {
		return
	}
	t := time.NewTimer(s.scaled(30 * time.Second))
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-t.C:
	}
}

// cut ends the connection without an answer. It sends the header to a read, because a client library may silently
// repeat a read that got nothing, and then the fault would have no effect.
func cut(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Length", "64")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the connection ends in any case
	}
	panic(http.ErrAbortHandler)
}

func writeHalf(w http.ResponseWriter, out reply) {
	text, err := json.Marshal(out.body)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(out.status)
		_, _ = w.Write(text[:len(text)/2])        // as above
		_ = http.NewResponseController(w).Flush() // as above
	}
	panic(http.ErrAbortHandler)
}

func write(w http.ResponseWriter, out reply) {
	text, err := json.Marshal(out.body)
	if err != nil {
		out.status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal_error"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if out.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(out.retryAfter))
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(append(text, '\n')) // a caller that is gone needs no answer
}

func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (s *Server) postResource(w http.ResponseWriter, r *http.Request) {
	var q createRequest
	if err := read(r, &q); err != nil {
		write(w, refuse(http.StatusBadRequest, codeInvalid, "the body cannot be read"))
		return
	}
	out, err := s.transact(callAbout(OpCreate, q.Name, q.Labels), func(now time.Time, f Fault, rec *record) reply {
		return s.create(now, q, f, rec)
	})
	s.answer(w, r, out, err)
}

// callOf describes a read or delete by what its caller says about it.
func callOf(r *http.Request, operation string) Call {
	q := r.URL.Query()
	return Call{
		Operation: operation, Key: q.Get("name"), Tenant: q.Get(labelTenant), Order: q.Get(labelOrder),
		Item: q.Get(labelItem), Step: q.Get(labelStep), Generation: q.Get(labelGeneration),
		Product: q.Get(labelProduct), Label: q.Get("item_label"),
	}
}

// readOperation returns the operation of a GET.
func readOperation(r *http.Request) string {
	switch op := r.URL.Query().Get("operation"); op {
	case OpLook, OpList:
		return op
	default:
		return OpObserve
	}
}

func (s *Server) getResource(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	out, err := s.transact(callOf(r, readOperation(r)), func(now time.Time, f Fault, rec *record) reply {
		res := s.state.resources[id]
		if res == nil || now.Before(res.FoundAt) || f.Kind == NotFound {
			rec.Call.Result = "absent"
			return refuse(http.StatusNotFound, codeNotFound, "no such resource")
		}
		rec.Call.Result = res.phase(now).String()
		return reply{status: http.StatusOK, body: res.view(now)}
	})
	s.answer(w, r, out, err)
}

func selector(r *http.Request) map[string]string {
	labels := map[string]string{}
	for _, pair := range r.URL.Query()["label"] {
		k, v, _ := strings.Cut(pair, "=")
		labels[k] = v
	}
	return labels
}

func (s *Server) getResources(w http.ResponseWriter, r *http.Request) {
	limit := 500
	if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil && n > 0 {
		limit = min(n, limit)
	}
	after := r.URL.Query().Get("after")
	out, err := s.transact(callOf(r, readOperation(r)), func(now time.Time, f Fault, rec *record) reply {
		found := s.state.selected(now, selector(r))
		if f.Kind == NotFound {
			found = nil
		}
		rec.Call.Result = provider.Absent.String()
		if len(found) > 0 {
			rec.Call.Result = found[0].phase(now).String()
		}
		return reply{status: http.StatusOK, body: page(now, found, after, limit)}
	})
	s.answer(w, r, out, err)
}

func page(now time.Time, found []*resource, after string, limit int) resourcePage {
	p := resourcePage{Resources: []Resource{}}
	for i, res := range found {
		if res.ID == after {
			found = found[i+1:]
			break
		}
	}
	for _, res := range found {
		if len(p.Resources) == limit {
			p.Next = p.Resources[limit-1].ID
			break
		}
		p.Resources = append(p.Resources, res.view(now))
	}
	return p
}

func (s *Server) deleteResource(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	out, err := s.transact(callOf(r, OpDelete), func(now time.Time, f Fault, rec *record) reply {
		res := s.state.resources[id]
		if res == nil || f.Kind == NotFound {
			rec.Call.Result = "absent"
			return refuse(http.StatusNotFound, codeNotFound, "no such resource")
		}
		return s.remove(now, []*resource{res}, f, rec)
	})
	s.answer(w, r, out, err)
}

func (s *Server) deleteResources(w http.ResponseWriter, r *http.Request) {
	labels := selector(r)
	if len(labels) == 0 {
		write(w, refuse(http.StatusUnprocessableEntity, codeInvalid, "name at least one label"))
		return
	}
	out, err := s.transact(callOf(r, OpDelete), func(now time.Time, f Fault, rec *record) reply {
		found := s.state.selected(now, labels)
		if len(found) == 0 || f.Kind == NotFound {
			rec.Call.Result = "absent"
			return reply{status: http.StatusAccepted, body: map[string]int{"deleted": 0}}
		}
		return s.remove(now, found, f, rec)
	})
	s.answer(w, r, out, err)
}

func (s *Server) getCredentials(w http.ResponseWriter, r *http.Request) {
	refs := r.URL.Query()["ref"]
	out, err := s.transact(s.credentialsCall(refs), func(now time.Time, f Fault, rec *record) reply {
		return s.issue(now, refs, f, rec)
	})
	s.answer(w, r, out, err)
}

// credentialsCall describes a call for credentials by its last resource, which is the one that a customer uses.
func (s *Server) credentialsCall(refs []string) Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(refs) > 0 {
		if res := s.state.resources[refs[len(refs)-1]]; res != nil {
			return callAbout(OpCredentials, res.Name, res.Labels)
		}
	}
	return Call{Operation: OpCredentials}
}

// issue returns the credentials of one item's resources.
func (s *Server) issue(now time.Time, refs []string, f Fault, rec *record) reply {
	var a access
	for _, id := range refs {
		res := s.state.resources[id]
		if res == nil || f.Kind == NotFound {
			rec.Call.Result = "absent"
			return refuse(http.StatusNotFound, codeNotFound, "no such resource")
		}
		if res.phase(now) != provider.Ready {
			rec.Call.Result = codePendingSecret
			return refuse(http.StatusConflict, codePendingSecret, "a resource is not ready")
		}
		a.resources = append(a.resources, res)
	}
	if !isWholeItem(a.resources) {
		rec.Call.Result = codeInvalid
		return refuse(http.StatusUnprocessableEntity, codeInvalid, "name all resources of one item, in the order of its plan")
	}
	last := a.resources[len(a.resources)-1]
	item := last.Labels[labelItem]
	if a.version = last.version; f.Kind == Once && len(s.state.issued[item]) > 0 {
		a.version++
	}
	doc, err := a.document(s.root)
	if err != nil {
		rec.Call.Result = codeInternal
		return refuse(http.StatusInternalServerError, codeInternal, "the secret cannot be made")
	}
	rec.Call.Result, rec.Call.IDs = "issued", refs
	rec.Issued = &issuance{Item: item, IDs: refs, Version: a.version}
	return reply{status: http.StatusOK, body: doc}
}

// isWholeItem reports whether the resources belong to one item and the last one is that of its last step.
func isWholeItem(resources []*resource) bool {
	if len(resources) == 0 {
		return false
	}
	last := resources[len(resources)-1]
	for _, r := range resources {
		if r.Labels[provider.LabelItem] != last.Labels[provider.LabelItem] || r.Product != last.Product {
			return false
		}
	}
	steps := stepsOf(last.Product)
	return len(steps) > 0 && steps[len(steps)-1].name == last.Kind
}

func (s *Server) getFacts(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	_, err := s.advance()
	f := facts{Naming: s.cfg.Naming.String(), Regions: map[string]regionFacts{}}
	for _, region := range regions() {
		free := Amounts{}
		free.add(s.limit(s.cfg.Capacity, region), 1)
		free.add(s.state.used[region], -1)
		f.Regions[region] = regionFacts{Products: offered(region), Images: images(region), Free: free}
	}
	s.mu.Unlock()
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, codeInternal, err.Error()))
		return
	}
	write(w, reply{status: http.StatusOK, body: f})
}

func (s *Server) getQuota(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	_, err := s.advance()
	q := quotas{Regions: map[string]regionQuota{}}
	for _, region := range regions() {
		used := Amounts{}
		used.add(s.state.used[region], 1)
		q.Regions[region] = regionQuota{Used: used, Limit: s.limit(s.cfg.Quota, region)}
	}
	s.mu.Unlock()
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, codeInternal, err.Error()))
		return
	}
	write(w, reply{status: http.StatusOK, body: q})
}

// encodeList appends one item of a JSON array.
func encodeList(to *bytes.Buffer, item any, first *bool) error {
	if !*first {
		to.WriteByte(',')
	}
	*first = false
	return json.NewEncoder(to).Encode(item)
}
