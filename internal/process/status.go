package process

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// tellEvery is how often a process says how its consumers stand.
const tellEvery = 5 * time.Second

// here is how the consumers of this process stand.
func (p *Process) here(context.Context) ([]app.ConsumerStatus, error) {
	all := make([]app.ConsumerStatus, len(p.readers))
	for i, c := range p.readers {
		all[i] = c.Status()
	}
	return all, nil
}

// tellStatus has the others know it. It goes through the worker's login, which every process with a
// consumer has: the witness's own may write its log and nothing else.
func (p *Process) tellStatus() {
	db := p.logins[postgres.LoginWorker]
	if len(p.readers) == 0 || db == nil {
		return
	}
	p.periodicJobs = append(p.periodicJobs, newPeriodicJob("tell how the consumers stand", tellEvery,
		p.cfg.Log, func(ctx context.Context) (int, error) {
			all, err := p.here(ctx)
			if err != nil {
				return 0, err
			}
			return len(all), db.PutConsumerStatus(ctx, p.instance, all)
		}))
}

// everywhere is how the consumers of all processes stand, this one's as of now.
func (p *Process) everywhere(ctx context.Context) ([]app.ConsumerStatus, error) {
	all, err := p.here(ctx)
	if err != nil {
		return nil, err
	}
	for _, login := range []string{postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker} {
		db := p.logins[login]
		if db == nil {
			continue
		}
		others, err := db.ConsumerStatus(ctx, p.instance)
		if err != nil {
			return nil, err
		}
		return addUp(all, others), nil
	}
	return all, nil
}

// addUp sums two lists by consumer. The older age counts: it is the lag.
func addUp(all, others []app.ConsumerStatus) []app.ConsumerStatus {
	at := map[string]int{}
	for i, s := range all {
		at[s.Consumer] = i
	}
	for _, o := range others {
		i, known := at[o.Consumer]
		if !known {
			all = append(all, o)
			continue
		}
		s := &all[i]
		s.Age, s.Behind = max(s.Age, o.Age), s.Behind+o.Behind
		s.Applied, s.Duplicates, s.Retried = s.Applied+o.Applied, s.Duplicates+o.Duplicates, s.Retried+o.Retried
		s.Parked, s.Blocked, s.Refused, s.Stopped = s.Parked+o.Parked, s.Blocked+o.Blocked, s.Refused+o.Refused,
			s.Stopped+o.Stopped
	}
	return all
}
