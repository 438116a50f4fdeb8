package money_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/platforma-cloud/orders/internal/money"
)

func TestAllocateGivesTheCentsLeftToTheLargestRemainders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		total   money.Cents
		weights []money.Cents
		want    []money.Cents
	}{
		{100, []money.Cents{1, 1, 1}, []money.Cents{34, 33, 33}}, // a tie: the lowest index
		{101, []money.Cents{1, 1, 1}, []money.Cents{34, 34, 33}},
		{10, []money.Cents{1, 2, 3}, []money.Cents{2, 3, 5}}, // 1.67, 3.33, 5
		{76_70, []money.Cents{20_10, 56_60}, []money.Cents{20_10, 56_60}},
		{77_69, []money.Cents{20_10, 56_60}, []money.Cents{20_36, 57_33}}, // 99 cents over: 2035.94, 5733.06
		{75_71, []money.Cents{20_10, 56_60}, []money.Cents{19_84, 55_87}}, // 99 cents short: 1984.05, 5586.95
		{5, []money.Cents{0, 1, 0, 1}, []money.Cents{0, 3, 0, 2}},
		{1, []money.Cents{0, 7}, []money.Cents{0, 1}},
		{7, []money.Cents{0, 0, 0}, []money.Cents{3, 2, 2}},
		{0, []money.Cents{3, 4}, []money.Cents{0, 0}},
		{9, []money.Cents{5}, []money.Cents{9}},
		{-100, []money.Cents{1, 1, 1}, []money.Cents{-34, -33, -33}},
		{7, nil, nil},
		{math.MaxInt64, []money.Cents{math.MaxInt64, math.MaxInt64}, []money.Cents{1 << 62, 1<<62 - 1}},
		{math.MinInt64, []money.Cents{math.MaxInt64}, []money.Cents{math.MinInt64}},
		{math.MinInt64, []money.Cents{1, 1}, []money.Cents{-1 << 62, -1 << 62}},
	} {
		if diff := cmp.Diff(c.want, money.Allocate(c.total, c.weights)); diff != "" {
			t.Errorf("Allocate(%d, %v) (-want +got):\n%s", c.total, c.weights, diff)
		}
	}
}

func TestTiesOfManyAreServedFromTheLowestIndex(t *testing.T) {
	t.Parallel()
	weights := make([]money.Cents, 100)
	for i := range weights {
		weights[i] = 7
	}
	for i, share := range money.Allocate(142, weights) {
		want := money.Cents(1)
		if i < 42 {
			want = 2
		}
		if share != want {
			t.Errorf("share %d = %d, want %d", i, share, want)
		}
	}
}

func TestAllocateOfANegativeWeightPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("Allocate accepted a negative weight")
		}
	}()
	money.Allocate(1, []money.Cents{2, -1})
}

func TestAllocationSumsExactlyAndNoShareIsACentOff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := money.Cents(rapid.Int64().Draw(t, "total"))
		drawn := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 100).Draw(t, "weights")
		weights := make([]money.Cents, len(drawn))
		sum := new(big.Int)
		for i, w := range drawn {
			weights[i] = money.Cents(w)
			sum.Add(sum, big.NewInt(w))
		}
		given := new(big.Int)
		for i, share := range money.Allocate(total, weights) {
			given.Add(given, big.NewInt(int64(share)))
			if sum.Sign() == 0 {
				continue
			}
			if weights[i] == 0 && share != 0 {
				t.Fatalf("weight 0 was given %d", share)
			}
			// |share × sum − total × weight| < sum
			have := new(big.Int).Mul(big.NewInt(int64(share)), sum)
			want := new(big.Int).Mul(big.NewInt(int64(total)), big.NewInt(int64(weights[i])))
			if have.Sub(have, want).CmpAbs(sum) >= 0 {
				t.Fatalf("share %d of weight %d is a cent or more off", share, weights[i])
			}
		}
		if given.Cmp(big.NewInt(int64(total))) != 0 {
			t.Fatalf("shares of %d sum to %s", total, given)
		}
	})
}
