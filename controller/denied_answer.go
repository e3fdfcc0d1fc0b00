package controller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// answerBacklog is how many answers wait for a switch; what is over is left out, as
// if the packet had been dropped.
const answerBacklog = 32

// answerTimeout is how long a switch may take to confirm an answer before the next one
// is sent.
const answerTimeout = 2 * time.Second

// answerer tells the senders of rejected packets, beside the session's loop: a switch
// confirms each answer when it gets to it, and nothing else is to wait for that.
type answerer struct {
	// all bounds the answers of a bridge, shares those of each VIF.
	all    *rate.Limiter
	shares shares
	queue  chan answer
}

// answer is a packet on its way to whoever sent one that was rejected.
type answer struct {
	way  way
	data []byte
}

func newAnswerer() *answerer {
	return &answerer{all: perSecond(answersPerSecond), shares: shares{perSecond: answersPerVIF}, queue: make(chan answer, answerBacklog)}
}

// give queues the answer to a rejected packet, if it has one.
func (a *answerer) give(d denial) {
	way, ok := wayBack(d.deniedPacket, d.ports, d.network)
	if !ok {
		return
	}
	f := d.frame
	if way.normal && d.network.VLAN != 0 && len(f.Tags) >= 4 {
		f.Tags = f.Tags[4:] // the VIF's port is in the VLAN, and tags by itself
	}
	data, ok := f.Answer()
	if !ok {
		return
	}
	select {
	case a.queue <- answer{way, data}:
	default:
	}
}

// start sends what is queued until stop, which waits for the end of it. An answer that
// the switch does not take is no more than a lost packet: whether the session is alive is
// for others to find out.
func (a *answerer) start(ctx context.Context, sw *openflow.Switch, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-sw.Done():
				return
			case next := <-a.queue:
				if err := send(ctx, sw, next); err != nil {
					log.Debug("answer not sent", "error", err)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func send(ctx context.Context, sw *openflow.Switch, a answer) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return sw.PacketOut(ctx, a.way.inPort, a.way.actions, a.data)
}

// refusedBySwitch reports an error that the switch answered with.
func refusedBySwitch(err error) bool {
	var refused *openflow.SwitchError
	return errors.As(err, &refused)
}

// way is how an answer gets to the sender.
type way struct {
	inPort  uint32
	actions []flow.Action
	normal  bool
}

// wayBack finds the way to the sender of a packet that was denied for a VIF with these
// ports. To a VIF, and on a private network, it is the port the packet came by. What
// came from elsewhere goes the switch's own way, as if the VIF answered: a bond has
// one member that an address may be sent by.
func wayBack(p deniedPacket, ports []uint32, n bridgeNetwork) (way, bool) {
	straight := way{inPort: flow.PortController, actions: []flow.Action{flow.Output(p.inPort)}}
	switch {
	case p.inPort == 0 || p.inPort > flow.PortMax && p.inPort != flow.PortLocal:
		return way{}, false
	case !p.inbound():
		return straight, slices.Contains(ports, p.inPort)
	case n.Private || field(p.registers, flowcompiler.FieldSource) == fromVIF:
		return straight, true
	}
	return way{inPort: ports[0], actions: []flow.Action{flow.Normal()}, normal: true}, true
}
