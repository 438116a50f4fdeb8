// Command platforma is the order-to-delivery module of a cloud platform. One binary serves the API and the
// portal, runs the workers, relays the events, and can start a whole development installation.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = "development"

type cli struct {
	Demo    demoCmd    `cmd:"" help:"Start everything embedded, play the demo orders, and stay up."`
	Dev     devCmd     `cmd:"" help:"Start everything embedded for development: PostgreSQL, broker, mail inbox, simulated cloud, API and portal."`
	Serve   serveCmd   `cmd:"" help:"Serve a part or all of an installation on your own PostgreSQL and Kafka."`
	Sim     simCmd     `cmd:"" help:"Run the simulated cloud by itself."`
	Migrate migrateCmd `cmd:"" help:"Create or update the database's tables, as its owner."`
	Kafka   struct {
		Apply kafkaApplyCmd `cmd:"" help:"Create the topics that are missing, and fail if one is configured wrongly."`
	} `cmd:"" help:"Topics."`
	Events struct {
		Rebuild eventsRebuildCmd `cmd:"" help:"Fill the topic again from the database, after it was lost or when it does not match; without --yes only say what that would do."`
		Verify  eventsVerifyCmd  `cmd:"" help:"Compare every event with the audit log; status 1 when they differ."`
	} `cmd:"" help:"The events on the topic."`
	Providers struct {
		List  providersListCmd  `cmd:"" help:"List the accounts and what is placed on them."`
		Check providersCheckCmd `cmd:"" help:"Ask the accounts what they offer; status 1 when something that is needed is missing."`
	} `cmd:"" help:"The clouds that build what is ordered."`
	Catalog struct {
		Diff  catalogDiffCmd  `cmd:"" help:"Show what a catalogue file would change."`
		Apply catalogApplyCmd `cmd:"" help:"Add the new versions in a catalogue file."`
		Show  catalogShowCmd  `cmd:"" help:"Print the catalogue with every version, as a file for diff and apply."`
	} `cmd:"" help:"Products and prices."`
	Rates struct {
		Set  ratesSetCmd  `cmd:"" help:"Record an exchange rate, such as: rates set EUR/CHF 0.9345"`
		List ratesListCmd `cmd:"" help:"List the rates in force."`
	} `cmd:"" help:"Exchange rates."`
	Orders struct {
		List  ordersListCmd  `cmd:"" help:"List orders, newest first."`
		Show  ordersShowCmd  `cmd:"" help:"Show an order with its items and its money."`
		Watch ordersWatchCmd `cmd:"" help:"Follow an order until it is at rest; status 1 when it was not fulfilled."`
		Saga  ordersSagaCmd  `cmd:"" help:"Print how an order was built and compensated: every call with its times."`
	} `cmd:"" help:"Orders, through the API."`
	Deadletters struct {
		List    deadLettersListCmd    `cmd:"" help:"List what needs a person, newest first."`
		Groups  deadLettersGroupsCmd  `cmd:"" help:"Count the dead letters by cause, with what to do first."`
		Show    deadLettersShowCmd    `cmd:"" help:"Show one dead letter: every attempt, what is left at the provider, the refund, what to do."`
		Redrive deadLettersRedriveCmd `cmd:"" help:"Try one or many again; status 1 when one was refused."`
		Adopt   deadLettersAdoptCmd   `cmd:"" help:"Name the resource at the provider that a stuck clean-up could not find; a worker checks it and goes on."`
		Abandon deadLettersAbandonCmd `cmd:"" help:"Sign that stuck work is given up. It takes two people."`
	} `cmd:"" help:"The fallout desk, through the API."`
	Workitems struct {
		List workListCmd `cmd:"" help:"List the refunds that need a transfer by hand, oldest first."`
		Done workDoneCmd `cmd:"" help:"Mark one as transferred."`
	} `cmd:"" help:"Refunds by hand, through the API."`
	Analytics struct {
		Check   analyticsCheckCmd   `cmd:"" help:"Compare the roll-up behind the figures with the orders; status 1 when they differ."`
		Rebuild analyticsRebuildCmd `cmd:"" help:"Count the roll-up again from the orders, for example after a restore."`
	} `cmd:"" help:"The figures of GET /v1/analytics/orders."`
	Audit struct {
		Verify   auditVerifyCmd   `cmd:"" help:"Check the hash chains of the audit log, in the database or in an exported file; status 1 when one is broken."`
		Export   auditExportCmd   `cmd:"" help:"Write the audit log as JSON lines, to be checked elsewhere."`
		Findings auditFindingsCmd `cmd:"" help:"List the faults of the topic that the Audit consumer found, with what to do; status 1 when there are any."`
	} `cmd:"" help:"The audit log: an independent record of what was on the topic."`
	Routing routingCmd `cmd:"" help:"Print which consumer gets which event, and the state of each consumer: lag, applied, duplicates, parked."`
	Doctor  doctorCmd  `cmd:"" help:"Check a running installation from outside."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// globals is what every command gets: the context that ends with a signal, and the outputs.
type globals struct {
	ctx context.Context
	out io.Writer
	err io.Writer
}

// errReported ends a command with status 1 when it has already printed what is wrong.
var errReported = errors.New("reported")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("platforma"), kong.UsageOnError(),
		kong.Description("Platforma Orders: from shopping cart to running infrastructure. Start with: platforma demo"))
	err := k.Run(&globals{ctx: ctx, out: os.Stdout, err: os.Stderr})
	switch {
	case err == nil:
	case errors.Is(err, errReported):
		os.Exit(1)
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "platforma:", err)
		os.Exit(1)
	}
}

type versionCmd struct{}

func (versionCmd) Run(g *globals) error {
	_, err := fmt.Fprintln(g.out, "platforma", version)
	return err
}

// newLogger returns a logger for operators; verbose adds the details.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
