package config

import "strings"

// meant says which of the known names somebody probably had in mind, or else names them all.
func meant(written string, known []string) string {
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
		return "there is none"
	}
	return "known: " + strings.Join(known, ", ")
}

// distance is how many bytes have to be put in, taken out or changed to make b of a (Levenshtein).
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
