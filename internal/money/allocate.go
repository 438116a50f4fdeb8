package money

import (
	"math/big"
	"slices"
)

// Allocate splits total in proportion to weights, to the cent. Every share is the exact share rounded down or
// up, and the shares sum to total exactly. The cents that are left go to the largest remainders, and to the
// lowest index among equal ones (D11). A weight of zero gets nothing; if all weights are zero, they count as
// equal. A negative total is split like its opposite. Without weights the result is nil. Allocate panics on a
// negative weight, because no price is negative.
func Allocate(total Cents, weights []Cents) []Cents {
	if len(weights) == 0 {
		return nil
	}
	shares := make([]Cents, len(weights))
	remainders := make([]*big.Int, len(weights))
	counted, sum := countedWeights(weights)
	whole := new(big.Int).SetUint64(magnitude(total))
	left := new(big.Int).Set(whole)
	for i, w := range counted {
		exact := new(big.Int).Mul(whole, w)
		share, rest := exact.QuoRem(exact, sum, new(big.Int))
		shares[i] = signed(share, total)
		remainders[i] = rest
		left.Sub(left, share)
	}
	// The cents left are the sum of the remainders, divided by sum. They are fewer than the remainders above
	// zero, so a weight of zero never gets one.
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainders[b].Cmp(remainders[a]) })
	for _, i := range order[:left.Int64()] {
		if total < 0 {
			shares[i]--
			continue
		}
		shares[i]++
	}
	return shares
}

// countedWeights returns the weights and their sum. If all weights are zero, each counts as one.
func countedWeights(weights []Cents) ([]*big.Int, *big.Int) {
	counted := make([]*big.Int, len(weights))
	sum := new(big.Int)
	for i, w := range weights {
		if w < 0 {
			panic("money: negative weight")
		}
		counted[i] = big.NewInt(int64(w))
		sum.Add(sum, counted[i])
	}
	if sum.Sign() > 0 {
		return counted, sum
	}
	for i := range counted {
		counted[i] = big.NewInt(1)
	}
	return counted, big.NewInt(int64(len(weights)))
}

// signed returns a share of |total| with the sign of total. It fits an int64, because a share is at most |total|.
func signed(share *big.Int, total Cents) Cents {
	if total >= 0 {
		return Cents(share.Int64())
	}
	return Cents(new(big.Int).Neg(share).Int64())
}
