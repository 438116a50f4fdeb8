package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// routingAnswer is an answer of GET /v1/routing.
const routingAnswer = `{
	"events": [
		{"type": "order.created", "consumers": ["audit", "portal"]},
		{"type": "order.failed", "consumers": ["audit"]}
	],
	"consumers": [
		{
			"name": "audit", "applied": 1042, "duplicates": 1, "retried": 2, "parked": 0, "blocked": 0, "refused": 3,
			"stopped_partitions": 4, "lag_events": 0, "lag_seconds": 0
		},
		{
			"name": "portal-webhooks", "applied": 5, "duplicates": 6, "retried": 7, "parked": 8, "blocked": 9, "refused": 0,
			"stopped_partitions": 0, "lag_events": 12, "lag_seconds": 90.25
		}
	]}`

func TestTheRoutingMatrixIsPrintedWithTheStateOfEachConsumer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/routing" || r.Header.Get("Authorization") != "Bearer the-key" {
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(routingAnswer)) // the command fails when the answer does not arrive
	}))
	t.Cleanup(srv.Close)
	output := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"routing"}, args...)...)
		cmd.Env = append(os.Environ(), "PLATFORMA_API="+srv.URL, "PLATFORMA_API_KEY=the-key")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("platforma routing: %v, %s", err, out)
		}
		return string(out)
	}
	var got []string
	for line := range strings.Lines(output()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"EVENT AUDIT PORTAL",
		"order.created ● ●",
		"order.failed ● ·",
		"",
		"CONSUMER LAG BEHIND APPLIED DUPLICATES RETRIED PARKED BLOCKED REFUSED STOPPED",
		"audit 0s 0 1042 1 2 0 0 3 4",
		"portal-webhooks 1m30s 12 5 6 7 8 9 0 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var answer struct{ Consumers []json.RawMessage }
	if err := json.Unmarshal([]byte(output("--json")), &answer); err != nil || len(answer.Consumers) != 2 {
		t.Errorf("--json: %v, %d consumers", err, len(answer.Consumers))
	}
}
