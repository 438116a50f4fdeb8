package kafka_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// The suite: T1 to T21 are the ways in which events could be lost, duplicated or reordered, each with the
// tests that try it. All of them run on the embedded broker and on a real Kafka, except those that make the
// broker give wrong answers. T14 and T15 start a broker of their own, because they kill it.
//
//	T1   a relay killed at any point            RelayProcessKilledAtAnyPoint…, KilledRelayLoses…, TopicIsTheTable…
//	T2   a cursor over ids, ids in advance      CursorOverIDsWouldLoseEvents…, IDsDrawnInAdvanceWouldReorder…
//	T3   two relays past the lock               TwoRelaysWithoutALock…, SecondRelayWaitsForTheLock…
//	T4   a relay that was stopped               RelayProcessThatWasStopped…, RelayThatWakesUp…
//	T5   a foreign transaction                  SlowTransactionDelaysNobodyElse
//	T6   rolled back                            ChangeThatRollsBackIsNeverSent
//	T7   reconcile                              RelayStopsWhenOneSideIsNotTheOneItWas, RelayStopsWhenTopicAndDatabase…
//	T8   a commit whose outcome is unknown      RelayProcessKilledAtAnyPoint… (with its commit sent),
//	                                            CommitWhoseAnswerIsLost…
//	T9   a consumer killed before its offset    ConsumerProcessKilledBetweenDatabaseAndOffset…
//	T10  a rebalance during a retry wait        RebalanceDuringARetryWait…, SecondConsumerTakesOverHalf…
//	T11  a poison message                       APoisonMessageIsTriedSixTimes…
//	T12  killed between park and relay          RelayKilledAfterAnEventWasParked…, ConsumerProcessKilledAfterParking…
//	T13  a tenant that is missing or forged     RecordThatCannotBeTrusted…, ForgedPairOfTenantAndOrder…
//	T14  the broker is unavailable              UnavailableBrokerHoldsUpNobody…; orders: internal/process
//	T15  the embedded broker killed             BrokerKilledUnderLoad… (a process of its own)
//	T16  the topic deleted                      RebuiltTopicIsTheTable…, RebuildKilledAfterAnyStep…,
//	                                            ConsumerThatRunsThroughARebuild…, ATopicThatWasRebuiltGivesNoFinding
//	T17  independent clients                    KcatReads… (alone, and as a member of a group), JavaConsoleConsumerReads…
//	T18  aborted batches                        KcatReads…NothingAborted, BatchOfADeadRelayIsInvisible…
//	T19  who may write                          OnlyTheRelayMayWriteEvents
//	T20  streams on another node                internal/httpapi, internal/portal
//	T21  the query plan of the poll             internal/postgres: RelayReadsTheOutboxByItsKey…
//
// PLATFORMA_SOAK=1 selects the long forms of T1, T4, T5, T14 and T15.

func TestMain(m *testing.M) {
	if spec := os.Getenv(relayVariable); spec != "" {
		runRelay(spec) // a relay process that a test kills
		return
	}
	if dir := os.Getenv(brokerVariable); dir != "" {
		runBroker(dir) // a broker process that a test kills
		return
	}
	if spec := os.Getenv(consumerVariable); spec != "" {
		runConsumer(spec) // a consumer process that a test kills
		return
	}
	fmt.Fprintln(os.Stderr, "kafka suite on:", kafkatest.Which())
	goleak.VerifyTestMain(pgtest.M{M: m})
}
