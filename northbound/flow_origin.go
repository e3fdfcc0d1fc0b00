package northbound

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"poolwire/flowcompiler"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// localPort10 is the bridge's own port as OpenFlow 1.0 and OVSDB number it
// (OFPP_LOCAL in 16 bits).
const localPort10 = 0xfffe

// Kinds of objects a flow may come from.
const (
	originVif            = "vif"
	originRule           = "rule"
	originNetwork        = "network"
	originPrivateNetwork = "private-network"
	originHost           = "host"
	originBridge         = "bridge"
	originGone           = "gone"
)

// origins leads from the cookies of one bridge's flows back to objects.
type origins struct {
	view         *raftstore.View
	host, bridge string
}

// of returns the object behind a flow, nil when the flow is not Poolwire's.
func (o origins) of(cookie uint64) *v1.FlowOrigin {
	c, ok := flowcompiler.ParseCookie(cookie)
	if !ok {
		return nil
	}
	out := &v1.FlowOrigin{Kind: originBridge, Name: o.bridge, Purpose: c.Kind.String()}
	switch {
	case c.Kind == flowcompiler.KindPort:
		out.Name = o.portName(c.Object)
	case c.Object != 0:
		table, object := o.view.Object(c.Object)
		out.Kind, out.Uuid, out.Name = o.describe(table, object)
	}
	if strings.EqualFold(out.Purpose, out.Kind) {
		out.Purpose = "" // "network" says nothing new of a network
	}
	return out
}

// portName is the interface with an OpenFlow port number on the bridge.
func (o origins) portName(number uint32) string {
	if number == flow.PortLocal || number == localPort10 {
		return o.bridge + "/LOCAL"
	}
	for _, p := range o.view.PortsByBridge(o.host, o.bridge) {
		if p.GetOfport() == number {
			return o.bridge + "/" + p.GetName()
		}
	}
	return fmt.Sprintf("%s/port %d", o.bridge, number)
}

// describe names an object for a person.
func (o origins) describe(table raftstore.Table, object proto.Message) (kind, uuid, name string) {
	switch table {
	case raftstore.TableVifs:
		vif := object.(*v1.Vif)
		return originVif, vif.GetUuid(), vifLabel(vif)
	case raftstore.TableRules:
		r := object.(*v1.Rule)
		return originRule, r.GetUuid(), ruleInWords(o.view, r)
	case raftstore.TableNetworks:
		n := object.(*v1.Network)
		return originNetwork, n.GetUuid(), n.GetNameLabel()
	case raftstore.TablePrivateNetworks:
		n := object.(*v1.PrivateNetwork)
		return originPrivateNetwork, n.GetUuid(), n.GetNameLabel()
	case raftstore.TableHosts:
		h := object.(*v1.Host)
		return originHost, h.GetUuid(), h.GetNameLabel()
	}
	return originGone, "", ""
}

func vifLabel(vif *v1.Vif) string {
	switch {
	case vif.GetNameLabel() != "":
		return vif.GetNameLabel()
	case vif.GetMac() != "":
		return vif.GetMac()
	}
	return vif.GetUuid()
}

// ruleInWords writes a rule as a person would say it: "deny to 192.0.2.0/24 tcp
// port 22 for 6e:0b:9e:72:ab:c6 on xenbr0".
func ruleInWords(v *raftstore.View, r *v1.Rule) string {
	words := []string{"deny"}
	if r.GetAllow() {
		words[0] = "allow"
	}
	words = append(words, strings.ReplaceAll(strings.ToLower(enumName(r.GetDirection())), "_", "/"))
	if r.GetIpRange() == "" {
		words = append(words, "any")
	} else {
		words = append(words, r.GetIpRange())
	}
	words = append(words, strings.ToLower(enumName(r.GetProtocol())))
	if r.Port != nil {
		words = append(words, fmt.Sprintf("port %d", r.GetPort()))
	}
	switch {
	case r.GetVifUuid() != "":
		label := r.GetVifUuid()
		if vif := v.Vif(r.GetVifUuid()); vif != nil {
			label = vifLabel(vif)
		}
		words = append(words, "for", label)
	case r.GetMac() != "":
		words = append(words, "for", r.GetMac(), "on", strings.Trim(networkLabel(v, r.GetNetworkUuid()), `"`))
	default:
		words = append(words, "on", strings.Trim(networkLabel(v, r.GetNetworkUuid()), `"`))
	}
	return strings.Join(words, " ")
}
