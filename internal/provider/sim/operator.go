package sim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	err := s.ledger.broken
	s.mu.Unlock()
	if err != nil {
		write(w, refuse(http.StatusServiceUnavailable, codeUnavailable, err.Error()))
		return
	}
	write(w, reply{status: http.StatusOK, body: map[string]string{"status": "ok"}})
}

// getLedger writes the live resources and streams the log from the file, so that a long log needs no memory.
// With ?only=live the log is empty.
func (s *Server) getLedger(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	now, err := s.advance()
	live := make([]Resource, 0, len(s.state.resources))
	for _, res := range s.allByAge() {
		live = append(live, res.view(now))
	}
	end := s.ledger.size
	s.mu.Unlock()
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, codeInternal, err.Error()))
		return
	}
	if r.URL.Query().Get("only") == "live" {
		write(w, reply{status: http.StatusOK, body: Ledger{Live: live, Log: []Call{}}})
		return
	}
	head, err := json.Marshal(live)
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, codeInternal, err.Error()))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var buffer bytes.Buffer
	buffer.WriteString(`{"live":`)
	buffer.Write(head)
	buffer.WriteString(`,"log":[`)
	first := true
	err = s.ledger.calls(end, func(c Call) error {
		if err := encodeList(&buffer, c, &first); err != nil {
			return err
		}
		if buffer.Len() < 1<<16 {
			return nil
		}
		_, err := buffer.WriteTo(w)
		return err
	})
	if err != nil {
		panic(http.ErrAbortHandler) // half a log must not look complete
	}
	buffer.WriteString("]}\n")
	_, _ = buffer.WriteTo(w) // a caller that is gone needs no answer
}

// allByAge returns all resources, the oldest first. The caller holds mu.
func (s *Server) allByAge() []*resource {
	all := make([]*resource, 0, len(s.state.resources))
	for _, res := range s.state.resources {
		all = append(all, res)
	}
	slices.SortFunc(all, byAge)
	return all
}

func (s *Server) getSecrets(w http.ResponseWriter, r *http.Request) {
	out := Issued{Item: r.PathValue("item"), Secrets: []json.RawMessage{}}
	s.mu.Lock()
	issued := slices.Clone(s.state.issued[out.Item])
	s.mu.Unlock()
	for _, a := range issued { // needs no lock: what document reads never changes
		doc, err := a.document(s.root)
		if err != nil {
			write(w, refuse(http.StatusInternalServerError, codeInternal, "the secret cannot be made"))
			return
		}
		out.Secrets = append(out.Secrets, doc)
	}
	write(w, reply{status: http.StatusOK, body: out})
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	faults := make([]Fault, 0, len(s.state.rules))
	for _, u := range s.state.rules {
		faults = append(faults, u.Fault)
	}
	s.mu.Unlock()
	write(w, reply{status: http.StatusOK, body: map[string][]Fault{"faults": faults}})
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := read(r, &f); err != nil {
		write(w, refuse(http.StatusBadRequest, codeInvalid, "the body cannot be read: "+err.Error()))
		return
	}
	if err := f.check(); err != nil {
		write(w, refuse(http.StatusUnprocessableEntity, codeInvalid, err.Error()))
		return
	}
	err := s.change(func(time.Time) record {
		f.ID = s.state.rulesEver + 1
		return record{NewRule: &f}
	})
	s.answer(w, r, reply{status: http.StatusCreated, body: f}, err)
}

func (s *Server) deleteFaults(w http.ResponseWriter, r *http.Request) {
	err := s.change(func(time.Time) record { return record{DropRules: true} })
	s.answer(w, r, reply{status: http.StatusOK, body: map[string][]Fault{"faults": {}}}, err)
}

func (s *Server) postForeign(w http.ResponseWriter, r *http.Request) {
	var q Foreign
	if err := read(r, &q); err != nil || q.Name == "" || q.Kind == "" {
		write(w, refuse(http.StatusUnprocessableEntity, codeInvalid, "a foreign resource needs name and kind"))
		return
	}
	var planted Resource
	err := s.change(func(now time.Time) record {
		res := &resource{
			ID: s.newID(q.Kind), Name: q.Name, Kind: q.Kind, Region: q.Region, Labels: q.Labels, CreatedAt: now, ReadyAt: now,
		}
		planted = res.view(now)
		return record{Make: []*resource{res}}
	})
	s.answer(w, r, reply{status: http.StatusCreated, body: planted}, err)
}

// change writes the record of a request to the operator's API.
func (s *Server) change(decide func(now time.Time) record) error {
	s.mu.Lock()
	now, err := s.advance()
	if err != nil {
		s.mu.Unlock()
		return err
	}
	r := decide(now)
	r.At, r.LastID = now, s.state.lastID
	end, err := s.ledger.append(r)
	if err == nil {
		s.state.apply(r)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.ledger.wait(end, s.end)
}
