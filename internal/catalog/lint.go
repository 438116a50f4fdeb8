package catalog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// maxFile is the largest catalogue file in bytes. The built-in one has 20 KB.
const maxFile = 4 << 20

// ParseFile reads a catalogue file, which is a JSON array of entries. It refuses the file unless every product
// in it could be sold from its valid_from on: names, versions and members are right, the schema compiles, the
// default selection is accepted, and every sample order costs the stated price to the cent. current are the
// entries that the file is added to; the file may refer to their shared prices without repeating them. The error
// lists all faulty entries, each with its first fault.
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
	for _, at := range laterMoments(current, entries) {
		// A price in the file can break a product of current that becomes valid later.
		_, err := Load(slices.Concat(current, entries), at)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return entries, nil
}

// lintEntry checks an entry outside its body, and that its body can be read.
func lintEntry(e Entry, before []Entry) error {
	switch {
	case !name.MatchString(e.Name):
		return errors.New("the entry's name must be of lower-case letters, digits and single - or _")
	case e.Version < 1:
		return errors.New("versions start at 1")
	case e.ValidFrom.IsZero():
		return errors.New("valid_from is required")
	case slices.ContainsFunc(before, func(o Entry) bool { return o.Name == e.Name && o.Version == e.Version }):
		return errors.New("is in the file twice")
	}
	_, err := parseBody(e.Body)
	return err
}

// lintInPlace loads an entry at its valid_from together with the others that are valid then, and prices its
// samples.
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

// laterMoments returns the times at which an entry of current becomes valid after the file's first entry has.
func laterMoments(current, file []Entry) []time.Time {
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
