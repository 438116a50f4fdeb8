package brand

import "testing"

// Black on white is 21:1 by the definition of WCAG. #767676 is the lightest grey that is readable on white.
func TestContrastIsThatOfWCAG(t *testing.T) {
	t.Parallel()
	if got := Contrast(Black(), White()); got != 21 {
		t.Errorf("black on white: %v, want 21", got)
	}
	grey, _ := Parse("#767676")
	lighter, _ := Parse("#777777")
	if !Readable(grey, White()) || Readable(lighter, White()) {
		t.Errorf("#767676 %v and #777777 %v on white, want one above and one below 4.5",
			Contrast(grey, White()), Contrast(lighter, White()))
	}
}

func TestNearestReadableIsReadableAndKeepsAColourThatAlreadyWas(t *testing.T) {
	t.Parallel()
	surfaces := []Colour{White(), Black(), {0x17, 0x1d, 0x1c}}
	for _, c := range []Colour{{0xff, 0xff, 0}, {0, 0, 0x80}, {0x80, 0x80, 0x80}, Black(), White()} {
		for _, surface := range surfaces {
			got := NearestReadable(c, surface)
			if !Readable(got, surface) {
				t.Errorf("%s made readable on %s is %s, with a contrast of %v", c, surface, got, Contrast(got, surface))
			}
			if Readable(c, surface) && got != c {
				t.Errorf("%s was readable on %s already and became %s", c, surface, got)
			}
		}
	}
}

func TestColourIsParsedInOneFormOnly(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{"#7a1fa2": "#7a1fa2", "#0B5FFF": "#0b5fff", "#000000": "#000000"} {
		if got, ok := Parse(sent); !ok || got.String() != want {
			t.Errorf("Parse(%q) = %s, %t, want %s", sent, got, ok, want)
		}
	}
	for _, sent := range []string{
		"", "#", "red", "#fff", "7a1fa2", "#7a1fa", "#7a1fa20", "#7a1fag", "#+1234f", "#-1234f", "#7a1fa2;", "#ž1fa2",
	} {
		if got, ok := Parse(sent); ok {
			t.Errorf("Parse(%q) = %s, want it refused", sent, got)
		}
	}
}
