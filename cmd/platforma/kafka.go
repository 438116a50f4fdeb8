package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
)

// brokers holds the flags by which a command reaches Kafka and logs in.
type brokers struct {
	KafkaBrokers   []string `env:"KAFKA_BROKERS" required:"" help:"host:port of the brokers."`
	KafkaTLS       bool     `name:"kafka-tls" env:"KAFKA_TLS" help:"Use TLS to the brokers."`
	KafkaCA        string   `name:"kafka-ca" env:"KAFKA_CA" type:"existingfile" placeholder:"FILE" help:"PEM file of the brokers' certificate authority, when it is not a public one; implies --kafka-tls."`
	KafkaUser      string   `env:"KAFKA_USER" help:"User name at the brokers."`
	KafkaPassword  string   `env:"KAFKA_PASSWORD_FILE" type:"existingfile" placeholder:"FILE" help:"File (mode 0600) with the password for the brokers."`
	KafkaMechanism string   `env:"KAFKA_MECHANISM" enum:"SCRAM-SHA-512,SCRAM-SHA-256,PLAIN" default:"SCRAM-SHA-512" help:"How to log in to the brokers; PLAIN needs TLS."`
}

func (b brokers) cluster() (kafka.Cluster, error) {
	return kafka.Cluster{Brokers: b.KafkaBrokers, Names: kafka.StandardNames()}.WithAccess(kafka.Access{
		TLS: b.KafkaTLS, CAFile: b.KafkaCA, User: b.KafkaUser, PasswordFile: b.KafkaPassword, Mechanism: b.KafkaMechanism,
	})
}

// reachableCluster returns the cluster, or an error when the brokers do not answer or refuse the login.
func (b brokers) reachableCluster(ctx context.Context) (kafka.Cluster, error) {
	cluster, err := b.cluster()
	if err != nil {
		return cluster, err
	}
	_, err = cluster.Identify(ctx)
	return cluster, err
}

type kafkaApplyCmd struct {
	brokers
	Replicas int `default:"3" help:"Copies of each topic."`
}

// Run creates the topics that are missing and prints the access rights that the logins need.
func (c *kafkaApplyCmd) Run(g *globals) error {
	cluster, err := c.reachableCluster(g.ctx)
	if err != nil {
		return err
	}
	if err := cluster.Apply(g.ctx, c.Replicas); err != nil {
		return err
	}
	if _, err := fmt.Fprint(g.out, "The topics are as they should be. If the brokers enforce access control lists, "+
		"grant these rights.\nOnly the relay may write events.\n\n"); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range cluster.Names.Grants(groups(cluster.Names)...) {
		name := r.Name
		if r.Prefix {
			name += "*"
		}
		rows = append(rows, []string{r.Who, r.Resource, name, strings.Join(r.Operations, " ")})
	}
	return table(g.out, "  WHO RESOURCE NAME MAY", rows)
}

// groups returns the names of the consumers' groups.
func groups(n kafka.Names) []string {
	var names []string
	for _, who := range append(app.Parking(), string(event.Audit)) {
		names = append(names, n.Group(who))
	}
	return names
}
