package catalog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// maxFile bounds a catalogue file: far above the built-in one (20 KB), far below what hurts.
const maxFile = 4 << 20

// ParseFile reads a catalogue file, a JSON array of entries, and refuses it unless every product in
// it could be sold from its valid_from on: names, versions and members are right, the schema
// compiles, the default selection is accepted, and every sample order costs what it says, to the
// cent. current are the entries the file is to be added to; a file may name their shared prices
// and need not repeat them. All faulty entries are reported, each with its first fault.
func ParseFile(r io.Reader, current ...Entry) ([]Entry, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read catalogue file: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("catalogue file is larger than %d bytes", maxFile)
	}
	var entries []Entry
	if err := decodeExact(data, &entries); err != nil {
		return nil, fmt.Errorf("catalogue file: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("catalogue file: holds no entry")
	}
	var faults []error
	for i, e := range entries {
		if err := lintEntry(e, entries[:i]); err != nil {
			faults = append(faults, entryError(e, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	for _, e := range entries {
		faults = append(faults, lintInPlace(e, slices.Concat(current, entries)))
	}
	for _, at := range comingMoments(current, entries) {
		// A price in the file can spoil a product that is there already and holds from later on.
		_, err := Load(slices.Concat(current, entries), at)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return entries, nil
}

// lintEntry checks what an entry says outside its body, and that its body can be read.
func lintEntry(e Entry, before []Entry) error {
	switch {
	case !name.MatchString(e.Name):
		return errors.New("the entry's name must be of lower-case letters, digits and single - or _")
	case e.Version < 1:
		return errors.New("versions start at 1")
	case e.ValidFrom.IsZero():
		return errors.New("valid_from must be said")
	case slices.ContainsFunc(before, func(o Entry) bool { return o.Name == e.Name && o.Version == e.Version }):
		return errors.New("stands twice in the file")
	}
	_, err := parseBody(e.Body)
	return err
}

// lintInPlace sells an entry, at its valid_from, among the others that hold then.
func lintInPlace(e Entry, all []Entry) error {
	others := slices.DeleteFunc(newest(all, e.ValidFrom), func(o Entry) bool { return o.Name == e.Name })
	c, err := Load(append(others, e), e.ValidFrom)
	if err != nil {
		return err
	}
	parsed, err := parseBody(e.Body)
	if err != nil || parsed.product == nil {
		return err
	}
	for i, s := range parsed.product.Samples {
		if err := c.priceSample(e.Name, s, parsed.product.Cycles); err != nil {
			return entryError(e, fmt.Errorf("sample %d: %w", i, err))
		}
	}
	return nil
}

// priceSample prices a sample order in every cycle the product has.
func (c *Catalog) priceSample(product string, s sampleBody, cycles []Cycle) error {
	for _, cycle := range cycles {
		sel := Selection{Product: product, Plan: s.Plan, Region: s.Region, Cycle: cycle, Configuration: s.Configuration}
		if faults := c.Check(sel, ""); len(faults) > 0 {
			return fmt.Errorf("is refused: %s %s: %s", faults[0].Pointer, faults[0].Code, faults[0].Message)
		}
		p, err := c.Price(sel)
		if err != nil {
			return err
		}
		want := s.Monthly
		if cycle == Annual {
			want = s.Annual
		}
		if _, due := p.FirstPeriod(cycle, nil, money.EUR); money.Format(due, money.EUR) != want {
			return fmt.Errorf("costs %s %s, not %q", money.Format(due, money.EUR), cycle, want)
		}
	}
	return nil
}

// comingMoments are the times after the file's first entry holds from which another entry that is
// there already does.
func comingMoments(current, file []Entry) []time.Time {
	first := slices.MinFunc(file, func(a, b Entry) int { return a.ValidFrom.Compare(b.ValidFrom) }).ValidFrom
	var times []time.Time
	for _, e := range current {
		if e.ValidFrom.After(first) {
			times = append(times, e.ValidFrom)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}
