//! A network that has the averaged weights of another one.

use crate::state::TrainState;
use tch::nn::VarStore;

/// Makes the network whose variables are in `store` read the first moving average of a training
/// state, also after later updates. The network must be built from the same configuration as the
/// trained one.
pub fn follow_average(store: &VarStore, state: &TrainState) {
    let mut variables = store.variables();
    for slot in &state.params.slots {
        if let Some(variable) = variables.get_mut(&slot.name).filter(|variable| variable.size() == slot.shape) {
            let _ = variable.requires_grad_(false);
            variable.set_data(&slot.view(state.ema.weights()));
        }
    }
}
