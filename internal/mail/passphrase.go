package mail

import (
	"fmt"
	"io"
	"strings"
)

// The letters of a word. Each of the 16 consonants carries four bits and each of the 4 vowels two, so the five
// letters of a word carry exactly 16 bits. Letters that are easily confused when heard or read (c/k, q, w, x,
// y, e) are left out. The spelling is that of proquints (D. Wilkerson, arXiv:0901.4016).
const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aiou"
)

// passphraseWords is the number of words: 8 times 16 bits is 128 bits, too many to guess.
const passphraseWords = 8

// NewPassphrase reads 128 bits from random and returns them as eight pronounceable words of five lower-case
// letters (consonants and vowels in turn) joined by '-', such as
// "babad-lusab-gutih-tobog-mudof-sakat-nivin-zuzuz". The 47 characters can be read aloud and typed on any
// keyboard, without doubts about case or digits.
func NewPassphrase(random io.Reader) (string, error) {
	var bits [2 * passphraseWords]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return "", fmt.Errorf("draw passphrase: %w", err)
	}
	words := make([]string, passphraseWords)
	for i := range words {
		words[i] = word(uint16(bits[2*i])<<8 | uint16(bits[2*i+1]))
	}
	return strings.Join(words, "-"), nil
}

// word spells 16 bits, the highest first: 4 + 2 + 4 + 2 + 4.
func word(n uint16) string {
	return string([]byte{consonants[n>>12], vowels[n>>10&3], consonants[n>>6&15], vowels[n>>4&3], consonants[n&15]})
}
