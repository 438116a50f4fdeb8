package main

import (
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/process"
)

// database is how a command reaches the database as its owner.
type database struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"Address of the database, as a user who may create roles and tables."`
}

type migrateCmd struct{ database }

func (c *migrateCmd) Run(g *globals) error {
	if err := process.Prepare(g.ctx, c.DatabaseURL); err != nil {
		return err
	}
	_, err := fmt.Fprintln(g.out, "The database is up to date.")
	return err
}

type brokers struct {
	KafkaBrokers []string `env:"KAFKA_BROKERS" required:"" help:"host:port of the brokers."`
}

func (b brokers) cluster() kafka.Cluster {
	return kafka.Cluster{Brokers: b.KafkaBrokers, Names: kafka.StandardNames()}
}

type kafkaApplyCmd struct {
	brokers
	Replicas int `default:"3" help:"Copies of each topic."`
}

func (c *kafkaApplyCmd) Run(g *globals) error {
	if err := c.cluster().Apply(g.ctx, c.Replicas); err != nil {
		return err
	}
	if _, err := fmt.Fprint(g.out, "The topics are as they must be. Where the brokers enforce access control lists, nobody but the relay\nmay write events:\n\n"); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range c.cluster().Names.Grants(c.groups()...) {
		name := r.Name
		if r.Prefix {
			name += "*"
		}
		rows = append(rows, []string{r.Who, r.Resource, name, strings.Join(r.Operations, " ")})
	}
	return table(g.out, "  WHO RESOURCE NAME MAY", rows)
}

// groups are those of the consumers.
func (c *kafkaApplyCmd) groups() []string {
	var names []string
	for _, who := range append(app.Parking(), string(event.Audit)) {
		names = append(names, c.cluster().Names.Group(who))
	}
	return names
}
