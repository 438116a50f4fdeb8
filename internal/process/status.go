package process

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// statusInterval is how often a process stores the state of its consumers.
const statusInterval = 5 * time.Second

// localStatus returns the state of this process's consumers.
func (p *Process) localStatus(context.Context) ([]app.ConsumerStatus, error) {
	local := make([]app.ConsumerStatus, len(p.consumers))
	for i, c := range p.consumers {
		local[i] = c.Status()
	}
	return local, nil
}

// addStatusJob adds the job that stores the state of this process's consumers for the other processes. It
// uses the worker's login, which every process with a consumer has: the login of the Audit consumer may only
// write the audit log.
func (p *Process) addStatusJob() {
	db := p.logins[postgres.LoginWorker]
	if len(p.consumers) == 0 || db == nil {
		return
	}
	p.periodicJobs = append(p.periodicJobs, newPeriodicJob("store the state of the consumers", statusInterval,
		p.cfg.Log, func(ctx context.Context) (int, error) {
			local, err := p.localStatus(ctx)
			if err != nil {
				return 0, err
			}
			return len(local), db.PutConsumerStatus(ctx, p.instance, local)
		}))
}

// consumerStatus returns the state of the consumers of all processes: of this one as it is now, of the others
// as they last stored it.
func (p *Process) consumerStatus(ctx context.Context) ([]app.ConsumerStatus, error) {
	local, err := p.localStatus(ctx)
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
		return sumStatus(local, others), nil
	}
	return local, nil
}

// sumStatus adds the others to the local list, by consumer. The age is the greater one, because that is the
// lag.
func sumStatus(local, others []app.ConsumerStatus) []app.ConsumerStatus {
	index := map[string]int{}
	for i, s := range local {
		index[s.Group] = i
	}
	for _, o := range others {
		i, known := index[o.Group]
		if !known {
			local = append(local, o)
			continue
		}
		s := &local[i]
		s.Lag = max(s.Lag, o.Lag)
		s.LagEvents += o.LagEvents
		s.Applied += o.Applied
		s.Duplicates += o.Duplicates
		s.Retried += o.Retried
		s.Parked += o.Parked
		s.Blocked += o.Blocked
		s.Refused += o.Refused
		s.Stopped += o.Stopped
	}
	return local
}
