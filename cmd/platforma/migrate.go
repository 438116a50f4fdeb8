package main

import (
	"fmt"

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
	_, err := fmt.Fprintln(g.out, "The topics are as they must be.")
	return err
}
