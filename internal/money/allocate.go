package money

import (
	"math/big"
	"slices"
)

// Allocate splits total over weights in proportion, to the cent: every share is the exact one
// rounded down or up, and the shares sum to total exactly (D11, largest remainder; of equal
// remainders the lowest index is served first). A weight of zero gets nothing; where all weights
// are zero they count as equal. A negative total is split like its opposite. No weights, no shares:
// the caller keeps total. It panics on a negative weight, since no price is one.
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
	// What is left is the sum of the remainders over sum: fewer cents than remainders above zero,
	// so a weight of zero is never served.
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

// countedWeights are the weights and their sum, all of them one where they were all zero.
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

// signed gives a share of |total| the sign of total. It fits: a share is never above |total|.
func signed(share *big.Int, total Cents) Cents {
	if total >= 0 {
		return Cents(share.Int64())
	}
	return Cents(new(big.Int).Neg(share).Int64())
}
