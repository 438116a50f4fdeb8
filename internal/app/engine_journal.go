package app

import (
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
)

// journal writes what the move knows of its part: the intent before the call, the id after it.
func (a *App) journal(d *Dossier, from fulfil.Unit, m fulfil.Move) {
	if from.Step >= len(from.Parts) || from.Parts[from.Step] == credentialsStep {
		return
	}
	name, it := from.Parts[from.Step], d.Order.Find(from.Item)
	p := d.part(from.ID, name, it.Generation)
	intent := m.Unit.Sent && !from.Sent
	if p == nil {
		if !intent || from.Undoing {
			if p = d.newestPart(from.ID, name); p == nil {
				return // going back over a part that was never begun
			}
		} else {
			d.Parts = append(d.Parts, fulfil.Part{Unit: from.ID, Part: name, Generation: it.Generation, Phase: fulfil.Intent})
			p = &d.Parts[len(d.Parts)-1]
		}
	}
	if intent && !from.Undoing {
		p.Key = a.keyOf(d.Order, it, name).Name()
		p.CalledAt = d.nextCall(m.Result.At)
		if caps, ok := a.capabilities(from.Queue); ok {
			p.SettleUntil = m.Result.At.Add(a.wait(caps.CallTimeout + caps.Settle))
		}
	}
	if m.Result.Phase != 0 {
		p.Phase = m.Result.Phase
	}
	if r := m.Result.Ref; r != "" && (len(p.Refs) == 0 || p.Refs[0] != r) {
		p.Refs = append([]string{r}, p.Refs...)
	}
	if m.Result.Absent && p.AbsentSince.IsZero() {
		p.AbsentSince = m.Result.At
	}
}

// nextCall is now, or just after the order's latest create where that was later or in the same
// microsecond: the moments of an order's creates keep the order in which they were decided under its
// lock, for they are taken back in reverse.
func (d *Dossier) nextCall(now time.Time) time.Time {
	for _, p := range d.Parts {
		if !p.CalledAt.Before(now) {
			now = p.CalledAt.Add(time.Microsecond)
		}
	}
	return now
}

func (d *Dossier) part(u fulfil.UnitID, name string, generation int) *fulfil.Part {
	for i := range d.Parts {
		if p := &d.Parts[i]; p.Unit == u && p.Part == name && p.Generation == generation {
			return p
		}
	}
	return nil
}

func (d *Dossier) newestPart(u fulfil.UnitID, name string) *fulfil.Part {
	var newest *fulfil.Part
	for i := range d.Parts {
		if p := &d.Parts[i]; p.Unit == u && p.Part == name && (newest == nil || p.Generation > newest.Generation) {
			newest = p
		}
	}
	return newest
}

func (d *Dossier) refOf(u fulfil.UnitID, part string) string {
	if p := d.newestPart(u, part); p != nil && len(p.Refs) > 0 {
		return p.Refs[0]
	}
	return ""
}

// youngest is when the unit's newest resource that is not gone was asked for.
func (d *Dossier) youngest(u fulfil.UnitID) time.Time {
	var t time.Time
	for _, p := range d.Parts {
		if p.Unit == u && p.Phase != fulfil.Gone && p.Phase != fulfil.Deleting && p.CalledAt.After(t) {
			t = p.CalledAt
		}
	}
	return t
}

// left names the parts of a unit that are not confirmed gone, in the journal's order, each once.
func (d *Dossier) left(u fulfil.UnitID) []string {
	var parts []string
	for _, p := range d.Parts {
		if p.Unit == u && p.Phase != fulfil.Gone && !slices.Contains(parts, p.Part) {
			parts = append(parts, p.Part)
		}
	}
	return parts
}
