package northbound

import (
	"strings"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	v1 "poolwire/proto/poolwire/v1"
)

// access returns the lowest role that may call a method. Every RPC has its line
// here; one that has none may be called by nobody.
func access(method string) Role {
	switch method {
	case v1.PoolService_GetPool_FullMethodName, v1.PoolService_ListPools_FullMethodName,
		v1.HostService_GetHost_FullMethodName, v1.HostService_ListHosts_FullMethodName,
		v1.PifService_GetPif_FullMethodName, v1.PifService_ListPifs_FullMethodName,
		v1.NetworkService_GetNetwork_FullMethodName, v1.NetworkService_ListNetworks_FullMethodName,
		v1.PrivateNetworkService_GetPrivateNetwork_FullMethodName, v1.PrivateNetworkService_ListPrivateNetworks_FullMethodName, v1.PrivateNetworkService_ListMulticastGroups_FullMethodName,
		v1.TunnelService_ListTunnels_FullMethodName, v1.TunnelService_GetTunnelMatrix_FullMethodName,
		v1.TunnelService_DescribeHostGuard_FullMethodName, v1.AdoptionService_ListAdoptableNetworks_FullMethodName,
		v1.VifService_GetVif_FullMethodName, v1.VifService_ListVifs_FullMethodName,
		v1.RuleService_GetRule_FullMethodName, v1.RuleService_ListRules_FullMethodName,
		v1.PolicyService_GetPolicyRule_FullMethodName, v1.PolicyService_ListPolicyRules_FullMethodName,
		v1.PolicyService_GetEffectivePolicy_FullMethodName, v1.PolicyService_Explain_FullMethodName,
		v1.PolicyService_GetRuleHits_FullMethodName, v1.PolicyService_WatchDenied_FullMethodName,
		v1.AddressGroupService_GetAddressGroup_FullMethodName, v1.AddressGroupService_ListAddressGroups_FullMethodName,
		v1.VifGroupService_GetVifGroup_FullMethodName, v1.VifGroupService_ListVifGroups_FullMethodName,
		v1.ChangeService_ListPendingChanges_FullMethodName,
		v1.FlowService_DumpFlows_FullMethodName,
		v1.ClusterService_GetClusterStatus_FullMethodName, v1.ClusterService_WaitForHosts_FullMethodName,
		v1.ClusterService_ListNodes_FullMethodName, v1.ClusterService_GetNodeStatus_FullMethodName, v1.ClusterService_GetClusterSettings_FullMethodName,
		v1.BackupService_ListLeftovers_FullMethodName,
		v1.WatchService_Watch_FullMethodName,
		healthv1.Health_Check_FullMethodName, healthv1.Health_List_FullMethodName, healthv1.Health_Watch_FullMethodName:
		return RoleViewer

	case v1.PoolService_CreatePool_FullMethodName, v1.PoolService_UpdatePool_FullMethodName, v1.PoolService_DeletePool_FullMethodName,
		v1.HostService_CreateHost_FullMethodName, v1.HostService_UpdateHost_FullMethodName,
		v1.HostService_DeleteHost_FullMethodName, v1.HostService_ReleaseHost_FullMethodName,
		v1.NetworkService_UpdateNetwork_FullMethodName,
		v1.PrivateNetworkService_CreatePrivateNetwork_FullMethodName, v1.PrivateNetworkService_UpdatePrivateNetwork_FullMethodName,
		v1.PrivateNetworkService_DeletePrivateNetwork_FullMethodName, v1.TunnelService_RotateTunnelKeys_FullMethodName,
		v1.AdoptionService_AdoptNetwork_FullMethodName,
		v1.VifService_CreateVif_FullMethodName, v1.VifService_UpdateVif_FullMethodName, v1.VifService_DeleteVif_FullMethodName,
		v1.RuleService_AddRule_FullMethodName, v1.RuleService_RemoveRule_FullMethodName, v1.RuleService_CreateRule_FullMethodName,
		v1.RuleService_UpdateRule_FullMethodName, v1.RuleService_DeleteRule_FullMethodName,
		v1.PolicyService_CreatePolicyRule_FullMethodName, v1.PolicyService_UpdatePolicyRule_FullMethodName,
		v1.PolicyService_DeletePolicyRule_FullMethodName,
		v1.AddressGroupService_CreateAddressGroup_FullMethodName, v1.AddressGroupService_UpdateAddressGroup_FullMethodName,
		v1.AddressGroupService_ModifyAddressGroup_FullMethodName, v1.AddressGroupService_DeleteAddressGroup_FullMethodName,
		v1.VifGroupService_CreateVifGroup_FullMethodName, v1.VifGroupService_UpdateVifGroup_FullMethodName,
		v1.VifGroupService_ModifyVifGroup_FullMethodName, v1.VifGroupService_DeleteVifGroup_FullMethodName,
		v1.ChangeService_ConfirmChange_FullMethodName, v1.ChangeService_RollbackChange_FullMethodName:
		return RoleOperator

	case v1.HostService_IssueHostCertificate_FullMethodName,
		v1.ClusterService_AddNode_FullMethodName, v1.ClusterService_RemoveNode_FullMethodName, v1.ClusterService_PromoteNode_FullMethodName,
		v1.ClusterService_ReplaceNode_FullMethodName, v1.ClusterService_TransferLeadership_FullMethodName, v1.ClusterService_UpdateClusterSettings_FullMethodName,
		v1.BackupService_SaveBackup_FullMethodName, v1.BackupService_StageBackup_FullMethodName, v1.BackupService_RestoreBackup_FullMethodName,
		v1.BackupService_TakeOverCluster_FullMethodName:
		return RoleAdmin

	case v1.ClusterService_ReadRevision_FullMethodName:
		return RoleNode
	}
	if strings.HasPrefix(method, "/grpc.reflection.") {
		return RoleViewer
	}
	return RoleNone
}

// mutates tells whether a method changes something.
func mutates(method string) bool {
	role := access(method)
	return role == RoleOperator || role == RoleAdmin
}
