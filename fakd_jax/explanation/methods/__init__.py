"""The methods of explanation, all with the interface of `explanation.result.Explainer`."""
