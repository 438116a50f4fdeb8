package config

import "strings"

// suggestion asks whether the nearest of the known names was meant. When none is near, it lists them all.
func suggestion(written string, known []string) string {
	best, least := "", len(written)
	for _, k := range known {
		if d := distance(written, k); d < least {
			best, least = k, d
		}
	}
	if best != "" && least <= (len(best)+1)/2 {
		return "did you mean " + best + "?"
	}
	if len(known) == 0 {
		return "there are none"
	}
	return "known: " + strings.Join(known, ", ")
}

// distance returns how many bytes have to be inserted, removed or changed to turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
