package app

import (
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
)

// journal writes what the move knows of its part: the intent before the call, the id after it.
func (a *App) journal(agg *Aggregate, from fulfil.Task, m fulfil.Move) {
	if from.Step >= len(from.Steps) || from.Steps[from.Step] == credentialsStep {
		return
	}
	name, it := from.Steps[from.Step], agg.Order.Find(from.Item)
	res := agg.resource(from.ID, name, it.Generation)
	intent := m.Task.Sent && !from.Sent
	if res == nil {
		if !intent || from.Compensating {
			if res = agg.newestResource(from.ID, name); res == nil {
				return // going back over a part that was never begun
			}
		} else {
			agg.Resources = append(agg.Resources, fulfil.Resource{
				Task: from.ID, Step: name, Generation: it.Generation, Phase: fulfil.Intent,
			})
			res = &agg.Resources[len(agg.Resources)-1]
		}
	}
	if intent && !from.Compensating {
		res.Key = a.keyOf(agg.Order, it, name).Name()
		res.CalledAt = agg.nextCall(m.Result.At)
		if caps, ok := a.capabilities(from.Queue); ok {
			res.SettleUntil = m.Result.At.Add(a.wait(caps.CallTimeout + caps.Settle))
		}
	}
	if m.Result.Phase != 0 {
		res.Phase = m.Result.Phase
	}
	if r := m.Result.Ref; r != "" && (len(res.Refs) == 0 || res.Refs[0] != r) {
		res.Refs = append([]string{r}, res.Refs...)
	}
	if m.Result.Absent && res.AbsentSince.IsZero() {
		res.AbsentSince = m.Result.At
	}
}

// nextCall is now, or just after the order's latest create where that was later or in the same
// microsecond: the moments of an order's creates keep the order in which they were decided under its
// lock, for they are taken back in reverse.
func (agg *Aggregate) nextCall(now time.Time) time.Time {
	for _, res := range agg.Resources {
		if !res.CalledAt.Before(now) {
			now = res.CalledAt.Add(time.Microsecond)
		}
	}
	return now
}

func (agg *Aggregate) resource(taskID fulfil.TaskID, name string, generation int) *fulfil.Resource {
	for i := range agg.Resources {
		if res := &agg.Resources[i]; res.Task == taskID && res.Step == name && res.Generation == generation {
			return res
		}
	}
	return nil
}

func (agg *Aggregate) newestResource(taskID fulfil.TaskID, name string) *fulfil.Resource {
	var newest *fulfil.Resource
	for i := range agg.Resources {
		if res := &agg.Resources[i]; res.Task == taskID && res.Step == name &&
			(newest == nil || res.Generation > newest.Generation) {
			newest = res
		}
	}
	return newest
}

func (agg *Aggregate) refOf(taskID fulfil.TaskID, part string) string {
	if res := agg.newestResource(taskID, part); res != nil && len(res.Refs) > 0 {
		return res.Refs[0]
	}
	return ""
}

// youngest is when the task's newest resource that is not gone was asked for.
func (agg *Aggregate) youngest(taskID fulfil.TaskID) time.Time {
	var t time.Time
	for _, res := range agg.Resources {
		if res.Task == taskID && res.Phase != fulfil.Gone && res.Phase != fulfil.Deleting && res.CalledAt.After(t) {
			t = res.CalledAt
		}
	}
	return t
}

// left names the parts of a task that are not confirmed gone, in the journal's order, each once.
func (agg *Aggregate) left(taskID fulfil.TaskID) []string {
	var parts []string
	for _, res := range agg.Resources {
		if res.Task == taskID && res.Phase != fulfil.Gone && !slices.Contains(parts, res.Step) {
			parts = append(parts, res.Step)
		}
	}
	return parts
}
