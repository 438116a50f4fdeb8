package app_test

import (
	"os"
	"strings"
	"testing"
)

// walls are the lines that stand between a customer and a second machine, a leak or a lost payment,
// each with a test that turns red when it is taken away. That was tried by hand, line by line; this
// test keeps the pairs together, so that neither is renamed or removed unseen.
var walls = []struct{ what, file, line, test, in string }{
	{ // without it a second create makes a second server where names are not unique
		"adopt before create", "../provider/sim/provider.go", "return p.adopt(ctx, res, j)",
		"TestAWorkerThatWasFrozenInACallWritesNothingAndDoublesNothing", "zombie_test.go",
	},
	{ // journal the part with its intent: written when the answer is there, an undo finds nothing to undo
		"the intent's row", "commit.go", "Generation: it.Generation, Phase: fulfil.Intent}",
		"TestEverySagaUnwindsFromEveryStepAndSurvivesEveryRepetition", "saga_test.go",
	},
	{ // compare the epoch: without it a worker that was frozen writes over its successor
		"the fence", "commit.go", "u.Epoch != m.Unit.Epoch-1",
		"TestAWorkerThatWakesAfterItsCallsTimeSendsNothing", "zombie_test.go",
	},
	{ // turn round on the step that failed, not on the one before: it may have half happened
		"undo begins at the failed step", "../fulfil/next.go", "n = TurnBack(n)",
		"TestEverySagaUnwindsFromEveryStepAndSurvivesEveryRepetition", "saga_test.go",
	},
	{ // of two resources made in one moment one goes first, and the other waits for it
		"last provisioned goes first", "provision_item.go", "theirs.Equal(mine)",
		"TestAllOrNothingGoesBackLastProvisionedFirst", "interplay_test.go",
	},
	{ // an event of the order's former life must not end the present one's validation
		"a late event does nothing", "begin_fulfilment.go", "d.Order.State != order.Cancelled",
		"TestAnEventOfACancelThatComesLateLeavesTheOrdersNextLifeAlone", "interplay_test.go",
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
