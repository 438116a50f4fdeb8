package simfacts_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/simfacts"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

func TestTheLedgerOfTheSimIsRead(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t, simtest.Options{})
	planted := s.Plant(sim.Foreign{
		Name: "by-hand", Kind: "server", Region: "lj-1", Labels: map[string]string{"pf-item": "i"},
	})
	got, err := simfacts.Read(t.Context(), s.URL)
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	want := []invariant.Resource{
		{ID: planted.ID, Name: "by-hand", Kind: "server", Phase: "ready", Labels: map[string]string{"pf-item": "i"}},
	}
	if diff := cmp.Diff(want, got.Live); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

func TestCallsAndSecretsAreReadAndASecretIsNeverPartOfAnError(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/ledger": `{"live":[],"log":[` +
			`{"at":"2026-01-15T09:00:00Z","operation":"credentials","key":"pf-k","result":"issued",` +
			`"ids":["server-1"],"item":"i","step":"server","generation":"2","tenant":"t","order":"o"},` +
			`{"at":"2026-01-15T09:00:01Z","operation":"create","result":"created","fault":"late",` +
			`"effect":true,"item":"j"}]}`,
		"/secrets/i": `{"item":"i","secrets":[{"password":"CANARY-1"},{"password":"CANARY-2"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	t.Cleanup(server.Close)
	got, err := simfacts.Read(t.Context(), server.URL+"/")
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	if err := simfacts.Secrets(t.Context(), server.URL, got); err != nil {
		t.Fatalf("Secrets() = %v", err)
	}
	at := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	want := &invariant.Cloud{
		Log: []invariant.Call{
			{
				At: at, Operation: "credentials", Key: "pf-k", Result: "issued", IDs: []string{"server-1"}, Tenant: "t", Order: "o",
				Item: "i", Step: "server", Generation: "2",
			},
			{At: at.Add(time.Second), Operation: "create", Result: "created", Fault: "late", Effect: true, Item: "j"},
		},
		Secrets: []invariant.Secret{
			{Item: "i", Document: []byte(`{"password":"CANARY-1"}`)},
			{Item: "i", Document: []byte(`{"password":"CANARY-2"}`)},
		},
		Canaries: []string{"CANARY-"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	answers["/secrets/i"] = `{"secrets":"CANARY-leaks"}`
	if err := simfacts.Secrets(t.Context(), server.URL, got); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("Secrets() of an answer of another shape = %v, want an error without the answer", err)
	}
}
