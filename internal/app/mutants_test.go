// Tests of the guards: the lines of code whose removal must make a test fail.

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

// guards are the lines that protect a customer against a second machine, a leak or a lost payment. Each has its mutant,
// which is the line without its effect, and a test that always fails with the mutant. The list keeps a line and its
// test together, so that neither is renamed or removed unnoticed. make mutants tries each mutant.
var guards = []struct{ what, file, line, mutant, test, testFile string }{
	{ // without it a repeated create makes a second server where names are not unique
		"adopt before create", "../provider/sim/provider.go",
		"if isExactly(res, s.Key) {", "if false {",
		"TestAWorkerFrozenInACallWritesNothingAndDuplicatesNothing", "frozen_worker_test.go",
	},
	{ // the resource is in the journal with the intent: written with the answer, the compensation would miss it
		"the intent's row", "engine_journal.go",
		"if !intent || from.Compensating {", "if intent || from.Compensating {",
		"TestACancelAfterACrashBetweenEffectAndAnswerLeavesNothing", "frozen_worker_test.go",
	},
	{ // the epoch: without it a worker that was frozen overwrites its successor
		"the fence", "engine_commit.go",
		"task.Epoch != m.Task.Epoch-1 || ", "",
		"TestAFrozenWorkerIsRefusedWhileItsSuccessorIsStillAtWork", "frozen_worker_test.go",
	},
	{ // the failed step may have half happened, so the compensation must not begin with the step before it
		"compensation begins at the failed step", "../fulfil/next.go",
		"n = Compensate(n)", "n = Compensate(n)\n\t\tn.Step = max(n.Step-1, 0)",
		"TestABuildThatNeverEndsIsRolledBackAtTheProductsDeadline", "retry_waits_test.go",
	},
	{ // an item with an older resource waits for the compensation of the item with a newer one
		"last provisioned goes first", "provision_item.go",
		"if task.Compensating && a.newerResourceRemains(agg, task) {", "if false {",
		"TestAllOrNothingCompensatesTheLastProvisionedFirst", "engine_compensate_test.go",
	},
	{ // an event from before a restore must not close the validation of the restored order
		"a late event does nothing", "begin_fulfilment.go",
		"if agg.Order.State != order.Cancelled {", "if false {",
		"TestALateCancelEventDoesNotTouchARestoredOrder", "begin_fulfilment_test.go",
	},
	{ // a resource that a person names is removed only when its labels say that it is the item's
		"an assertion is checked", "engine_assertion.go",
		"case k.Installation != own.Installation || k.Item != own.Item || k.Step != own.Step:", "case k != k && own != own:",
		"TestAFalseAssertionRemovesNothingAndLeavesTheDeadLetterOpen", "adopt_dead_letter_test.go",
	},
}

func TestEveryGuardExistsOnceAndNamesItsTest(t *testing.T) {
	t.Parallel()
	for _, g := range guards {
		for file, text := range map[string]string{g.file: g.line, g.testFile: "func " + g.test + "("} {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), text); n != 1 {
				t.Errorf("%s: %s contains %q %d times, want once", g.what, file, text, n)
			}
		}
	}
}

// TestNoGuardCanBeRemovedUnnoticed builds the package's tests with one mutant after the other. They must compile, and
// the named test must fail. The source files stay as they are, because the compiler gets the mutant as an overlay.
func TestNoGuardCanBeRemovedUnnoticed(t *testing.T) {
	if os.Getenv("PLATFORMA_SOAK") == "" {
		t.Skip("every guard costs a build: make mutants runs this")
	}
	for _, g := range guards {
		t.Run(g.what, func(t *testing.T) {
			source, err := os.ReadFile(g.file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, "mutant.go")
			overlay := filepath.Join(dir, "overlay.json")
			binary := filepath.Join(dir, "mutant.test")
			writeFile(t, mutant, []byte(strings.Replace(string(source), g.line, g.mutant, 1)))
			target, err := filepath.Abs(g.file)
			if err != nil {
				t.Fatal(err)
			}
			replace, err := json.Marshal(map[string]map[string]string{"Replace": {target: mutant}})
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, overlay, replace)
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".")
			if output, err := build.CombinedOutput(); err != nil {
				t.Fatalf("without %q %s does not compile: %v\n%s", g.line, g.file, err, output)
			}
			run := exec.CommandContext(t.Context(), binary, "-test.run", "^"+g.test+"$", "-test.v", "-test.timeout", "10m")
			output, err := run.CombinedOutput()
			var failed *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("without %q %s still passes", g.line, g.test)
			case !errors.As(err, &failed) || !strings.Contains(string(output), "--- FAIL: "+g.test+" "):
				t.Errorf("without %q %s does not fail itself: %v\n%s", g.line, g.test, err, output)
			default:
				t.Logf("without %q %s fails", g.line, g.test)
			}
		})
	}
}

func writeFile(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
