// The lines that nothing may remove unseen, each with the test that fails without it.

package app_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// walls are the lines that stand between a customer and a second machine, a leak or a lost payment,
// each with what it becomes when it is taken away and a test that is red then, every time. The pairs stand
// together so that neither is renamed or removed unseen; make mutants takes each line away and looks.
var walls = []struct{ what, file, line, mutant, test, in string }{
	{ // without it a second create makes a second server where names are not unique
		"adopt before create", "../provider/sim/provider.go",
		"if isExactly(res, s.Key) {", "if false {",
		"TestAWorkerThatWasFrozenInACallWritesNothingAndDoublesNothing", "frozen_worker_test.go",
	},
	{ // journal the part with its intent: written when the answer is there, an undo finds nothing to undo
		"the intent's row", "engine_journal.go",
		"if !intent || from.Compensating {", "if intent || from.Compensating {",
		"TestACancelAfterADeathBetweenEffectAndAnswerLeavesNothing", "frozen_worker_test.go",
	},
	{ // compare the epoch: without it a worker that was frozen writes over its successor
		"the fence", "engine_commit.go",
		"task.Epoch != m.Task.Epoch-1 || ", "",
		"TestAFrozenWorkerIsRefusedWhileItsSuccessorIsStillAtWork", "frozen_worker_test.go",
	},
	{ // turn round on the step that failed, not on the one before: it may have half happened
		"compensation begins at the failed step", "../fulfil/next.go",
		"n = Compensate(n)", "n = Compensate(n)\n\t\tn.Step = max(n.Step-1, 0)",
		"TestABuildThatNeverEndsIsRolledBackAtTheProductsDeadline", "retry_waits_test.go",
	},
	{ // of two items that go back the one with the younger resource goes first, and the other waits for it
		"last provisioned goes first", "provision_item.go",
		"if task.Compensating && a.newerResourceRemains(agg, task) {", "if false {",
		"TestAllOrNothingGoesBackLastProvisionedFirst", "engine_compensate_test.go",
	},
	{ // an event of the order's former life must not end the present one's validation
		"a late event does nothing", "begin_fulfilment.go",
		"if agg.Order.State != order.Cancelled {", "if false {",
		"TestAnEventOfACancelThatComesLateLeavesTheOrdersNextLifeAlone", "begin_fulfilment_test.go",
	},
	{ // what a person names is removed only when its labels say that it is the item's
		"an assertion is checked", "engine_assertion.go",
		"case k.Installation != own.Installation || k.Item != own.Item || k.Step != own.Step:",
		"case k != k && own != own:",
		"TestAFalseClaimLeavesTheResourceAloneAndTheWorkOnTheDesk", "adopt_dead_letter_test.go",
	},
}

func TestEveryWallStandsAndHasItsTest(t *testing.T) {
	t.Parallel()
	for _, w := range walls {
		for file, text := range map[string]string{w.file: w.line, w.in: "func " + w.test + "("} {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), text); n != 1 {
				t.Errorf("%s: %q stands %d times in %s, want once", w.what, text, n, file)
			}
		}
	}
}

// TestNoWallCanBeTakenAwayUnseen builds the package's tests without each wall, one after the other, and
// wants the named test to fail: itself, not the compiler. The tree is left as it is: the compiler is
// shown the changed file in place of the real one.
func TestNoWallCanBeTakenAwayUnseen(t *testing.T) {
	if os.Getenv("PLATFORMA_SOAK") == "" {
		t.Skip("every wall costs a build: make mutants runs this")
	}
	for _, w := range walls {
		t.Run(w.what, func(t *testing.T) {
			source, err := os.ReadFile(w.file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			mutant, overlay, binary := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"),
				filepath.Join(dir, "mutant.test")
			write(t, mutant, []byte(strings.Replace(string(source), w.line, w.mutant, 1)))
			target, err := filepath.Abs(w.file)
			if err != nil {
				t.Fatal(err)
			}
			replace, err := json.Marshal(map[string]map[string]string{"Replace": {target: mutant}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, overlay, replace)
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".")
			if said, err := build.CombinedOutput(); err != nil {
				t.Fatalf("without %q %s does not compile: %v\n%s", w.line, w.file, err, said)
			}
			run := exec.CommandContext(t.Context(), binary, "-test.run", "^"+w.test+"$", "-test.v", "-test.timeout", "10m")
			said, err := run.CombinedOutput()
			var failed *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("without %q %s is still green", w.line, w.test)
			case !errors.As(err, &failed) || !strings.Contains(string(said), "--- FAIL: "+w.test+" "):
				t.Errorf("without %q %s does not fail itself: %v\n%s", w.line, w.test, err, said)
			default:
				t.Logf("without %q %s is red", w.line, w.test)
			}
		})
	}
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
