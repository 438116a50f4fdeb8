package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/embedded"
)

func TestTopicsAreAppliedWithTheRightPasswordWhichIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const right, wrong = "correct-horse", "swordfish-and-chips"
	k, err := embedded.StartKafka(embedded.KafkaConfig{Users: map[string]string{"admin": right}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	file := filepath.Join(t.TempDir(), "password")
	for _, c := range []struct {
		password, want string
		succeeds       bool
	}{
		{wrong, "refuse user or password; check --kafka-user", false},
		{right, "The topics are as they should be.", true},
	} {
		if err := os.WriteFile(file, []byte(c.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := runBinary(t, []string{"KAFKA_BROKERS=" + k.Addr()},
			"kafka", "apply", "--replicas", "1", "--kafka-user", "admin", "--kafka-password", file)
		if (err == nil) != c.succeeds || !strings.Contains(out, c.want) {
			t.Errorf("kafka apply: %v, want %q in its output:\n%s", err, c.want, out)
		}
		if strings.Contains(out, c.password) {
			t.Errorf("kafka apply prints the password:\n%s", out)
		}
	}
}
