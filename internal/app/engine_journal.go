package app

import (
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/fulfil"
)

// journal records the move in the journal of its step: the intent before the call, the provider's id after it.
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
				return // compensating a step that never began
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
		res.CalledAt = agg.nextCallTime(m.Result.At)
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

// nextCallTime returns now, or one microsecond after the order's latest create when that is not earlier. So the
// times of an order's creates keep the sequence in which they were decided under its lock, which compensation
// follows in reverse.
func (agg *Aggregate) nextCallTime(now time.Time) time.Time {
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

func (agg *Aggregate) refOf(taskID fulfil.TaskID, step string) string {
	if res := agg.newestResource(taskID, step); res != nil && len(res.Refs) > 0 {
		return res.Refs[0]
	}
	return ""
}

// newestCallTime returns when the task's newest remaining resource was asked for. It is zero when none remains;
// a resource that is being deleted does not count.
func (agg *Aggregate) newestCallTime(taskID fulfil.TaskID) time.Time {
	var t time.Time
	for _, res := range agg.Resources {
		if res.Task == taskID && res.Phase != fulfil.Gone && res.Phase != fulfil.Deleting && res.CalledAt.After(t) {
			t = res.CalledAt
		}
	}
	return t
}

// remainingSteps returns the steps of a task whose resources are not confirmed gone, each once, in the journal's
// order.
func (agg *Aggregate) remainingSteps(taskID fulfil.TaskID) []string {
	var steps []string
	for _, res := range agg.Resources {
		if res.Task == taskID && res.Phase != fulfil.Gone && !slices.Contains(steps, res.Step) {
			steps = append(steps, res.Step)
		}
	}
	return steps
}
