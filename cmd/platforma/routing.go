package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// routingCmd prints the routing matrix and the state of its consumers, through the API.
type routingCmd struct {
	apiFlags
}

// routing is what the command reads from GET /v1/routing.
type routing struct {
	Events []struct {
		Type      string   `json:"type"`
		Consumers []string `json:"consumers"`
	} `json:"events"`
	Consumers []struct {
		Name       string  `json:"name"`
		Applied    int64   `json:"applied"`
		Duplicates int64   `json:"duplicates"`
		Retried    int64   `json:"retried"`
		Parked     int     `json:"parked"`
		Blocked    int     `json:"blocked"`
		Refused    int64   `json:"refused"`
		Stopped    int     `json:"stopped_partitions"`
		LagEvents  int64   `json:"lag_events"`
		LagSeconds float64 `json:"lag_seconds"`
	} `json:"consumers"`
}

// Run prints both tables.
func (c *routingCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var r routing
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/routing", nil, &r)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	var columns []string
	for _, e := range r.Events {
		for _, name := range e.Consumers {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	slices.Sort(columns)
	var rows [][]string
	for _, e := range r.Events {
		row := []string{e.Type}
		for _, name := range columns {
			mark := "·"
			if slices.Contains(e.Consumers, name) {
				mark = "●"
			}
			row = append(row, mark)
		}
		rows = append(rows, row)
	}
	if err := table(g.out, "EVENT "+strings.ToUpper(strings.Join(columns, " ")), rows); err != nil {
		return err
	}
	if len(r.Consumers) == 0 {
		_, err := fmt.Fprintln(g.out, "\nNo consumer has reported its state: is a process with the consumers' roles running?")
		return err
	}
	rows = nil
	for _, k := range r.Consumers {
		rows = append(rows, []string{
			k.Name, formatLag(k.LagSeconds), strconv.FormatInt(k.LagEvents, 10), strconv.FormatInt(k.Applied, 10),
			strconv.FormatInt(k.Duplicates, 10), strconv.FormatInt(k.Retried, 10), strconv.Itoa(k.Parked),
			strconv.Itoa(k.Blocked), strconv.FormatInt(k.Refused, 10), strconv.Itoa(k.Stopped),
		})
	}
	fmt.Fprintln(g.out)
	return table(g.out, "CONSUMER LAG BEHIND APPLIED DUPLICATES RETRIED PARKED BLOCKED REFUSED STOPPED", rows)
}

// formatLag formats a lag for people: to the millisecond below a minute, to the second above.
func formatLag(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
