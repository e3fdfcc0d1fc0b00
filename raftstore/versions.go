package raftstore

import (
	"fmt"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A cluster is upgraded node by node. Each node records what its version understands of
// the log, and the leader proposes nothing that a member does not: such a member would
// have to stop (see fsm.stop), and with a majority of them the cluster.

// commandsNow is the highest command number this version applies.
const commandsNow uint32 = 39

// A version from before nodes told knew these.
const (
	commandsUntold = 28
	meaningUntold  = meaningOverlay
)

// understood is what every member of the cluster understands.
type understood struct {
	commands, meaning uint32
	// behind are the nodes that hold the others back, with their versions.
	behind []string
}

// understanding looks at what the members have recorded. This node's own record may be
// that of the version it ran before, and does not count.
func (s *Store) understanding() understood {
	u := understood{commands: commandsNow, meaning: meaningNow}
	for _, n := range s.View().Nodes() {
		if n.GetId() == s.cfg.NodeID {
			continue
		}
		commands, meaning := n.GetCommands(), n.GetMeaning()
		if commands == 0 {
			commands, meaning = commandsUntold, meaningUntold
		}
		if commands < commandsNow || meaning < meaningNow {
			u.behind = append(u.behind, fmt.Sprintf("%s (version %s)", n.GetId(), n.GetVersion()))
		}
		u.commands, u.meaning = min(u.commands, commands), min(u.meaning, meaning)
	}
	return u
}

// allows refuses a command that a member of the cluster does not understand.
func (u understood) allows(number uint32) error {
	if number <= u.commands {
		return nil
	}
	return &PreconditionError{Kind: KindCluster, ID: commandName(number),
		Reason: "upgrade these nodes first, they do not know it: " + strings.Join(u.behind, ", ")}
}

// allowsVif refuses intent for a VIF that a member of the cluster would not store.
func (u understood) allowsVif(vif *poolwirev1.Vif) error {
	if u.meaning >= meaningSecured || len(vif.GetAllowedHosts()) == 0 {
		return nil
	}
	return &PreconditionError{Kind: KindCluster, ID: "allowed_hosts",
		Reason: "upgrade these nodes first, they do not know it: " + strings.Join(u.behind, ", ")}
}
